// The official Go SDK against the test Logstore, which it reaches as its HTTP proxy:
//
//	HTTP_PROXY=http://127.0.0.1:PORT go run .
//	HTTP_PROXY=http://127.0.0.1:PORT go run . consume GROUP COUNT
//
// The second form reads COUNT logs by the consumer library, does nothing with them and ends: what `bench sls` is held against.
// Started by tests/witness/sls.sh with the server's default project, Logstore and key. The first check that fails ends
// the run with its reason. Logs of other witnesses may be in the Logstore; each check looks at its own.
package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	sls "github.com/aliyun/aliyun-log-go-sdk"
	consumer "github.com/aliyun/aliyun-log-go-sdk/consumer"
	"github.com/go-kit/kit/log"
	"github.com/gogo/protobuf/proto"
)

const (
	endpoint = "http://cn-hangzhou.log.aliyuncs.com"
	project  = "test-project"
	logstore = "test-logstore"
	key      = "test-key"
	secret   = "test-secret"
	// The longest that anything is waited for.
	patience = 60 * time.Second
)

func client(secret string, v4 bool) sls.ClientInterface {
	made := sls.CreateNormalInterface(endpoint, key, secret, "")
	if v4 {
		made.SetAuthVersion(sls.AuthV4)
		made.SetRegion("cn-hangzhou")
	}
	return made
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func check(right bool, what string, with ...any) {
	if !right {
		panic(fmt.Sprintf(what, with...))
	}
}

// A refusal with this code.
func refused(code string, err error) {
	for err != nil {
		if known, ok := err.(*sls.Error); ok {
			check(known.Code == code, "refused with %s, not %s", known.Code, code)
			return
		}
		// Some calls wrap the service's error in text.
		check(strings.Contains(err.Error(), code), "refused with %v, not %s", err, code)
		return
	}
	panic("nothing was refused; expected " + code)
}

func run() string {
	return "go-" + strconv.FormatInt(time.Now().UnixNano(), 36)
}

func group(run string, numbers ...int) *sls.LogGroup {
	made := &sls.LogGroup{Topic: proto.String("topic"), Source: proto.String("source")}
	for _, number := range numbers {
		made.Logs = append(made.Logs, &sls.Log{
			Time:   proto.Uint32(uint32(time.Now().Unix())),
			TimeNs: proto.Uint32(uint32(number)),
			Contents: []*sls.LogContent{
				{Key: proto.String("run"), Value: proto.String(run)},
				{Key: proto.String("n"), Value: proto.String(strconv.Itoa(number))},
			},
		})
	}
	return made
}

// The numbers of one run in pulled groups.
func numbers(groups []*sls.LogGroup, run string) (found []int) {
	for _, group := range groups {
		for _, log := range group.Logs {
			fields := map[string]string{}
			for _, content := range log.Contents {
				fields[content.GetKey()] = content.GetValue()
			}
			if fields["run"] == run {
				number, err := strconv.Atoi(fields["n"])
				must(err)
				check(log.GetTimeNs() == uint32(number), "nanoseconds are kept")
				check(group.GetTopic() == "topic" && len(group.LogTags) == 2, "topic and the server's tags are there")
				found = append(found, number)
			}
		}
	}
	return found
}

func shards(to sls.ClientInterface) []*sls.Shard {
	found, err := to.ListShards(project, logstore)
	must(err)
	return found
}

// Everything from begin to end of every shard.
func readAll(to sls.ClientInterface, run string, packing int) (found []int) {
	for _, shard := range shards(to) {
		cursor, err := to.GetCursor(project, logstore, shard.ShardID, "begin")
		must(err)
		end, err := to.GetCursor(project, logstore, shard.ShardID, "end")
		must(err)
		for cursor != end {
			groups, meta, err := to.PullLogsWithQuery(&sls.PullLogRequest{
				Project: project, Logstore: logstore, ShardID: shard.ShardID, Cursor: cursor, EndCursor: end,
				LogGroupMaxCount: 7, CompressType: packing,
			})
			must(err)
			check(meta.Count == len(groups.LogGroups), "the count is that of the groups")
			check(groups.LogGroups[0].GetCursor() == cursor, "the first group's cursor is the one that was asked for")
			found = append(found, numbers(groups.LogGroups, run)...)
			cursor = meta.NextCursor
		}
	}
	slices.Sort(found)
	return found
}

func upTo(count int) (all []int) {
	for n := range count {
		all = append(all, n)
	}
	return all
}

func putAndPull() {
	for _, v4 := range []bool{false, true} {
		to := client(secret, v4)
		for _, packing := range []int{sls.Compress_LZ4, sls.Compress_ZSTD, sls.Compress_None} {
			run := run()
			for n := 0; n < 60; n += 3 {
				must(to.PutLogsWithCompressType(project, logstore, group(run, n, n+1, n+2), packing))
			}
			for _, accept := range []int{sls.Compress_LZ4, sls.Compress_ZSTD} {
				found := readAll(to, run, accept)
				check(slices.Equal(found, upTo(60)), "put %d, pulled %d: %v", packing, accept, found)
			}
		}
	}
}

func cursors() {
	to, run := client(secret, false), run()
	route := "00000000000000000000000000000001"
	shard := 0
	for _, one := range shards(to) {
		if one.Status == "readwrite" && strings.Trim(one.InclusiveBeginKey, "0") == "" {
			shard = one.ShardID
		}
	}
	begin, err := to.GetCursor(project, logstore, shard, "end")
	must(err)
	for n := range 5 {
		must(to.PostLogStoreLogs(project, logstore, group(run, n), &route))
	}
	groups, next, err := to.PullLogs(project, logstore, shard, begin, "", 1000)
	must(err)
	check(slices.Equal(numbers(groups.LogGroups, run), upTo(5)), "hash keys lead to the shard in order")
	at, err := to.GetCursorTime(project, logstore, shard, begin)
	must(err)
	check(time.Since(at).Abs() < time.Minute, "receive time %v", at)
	end, err := to.GetCursor(project, logstore, shard, "end")
	must(err)
	check(next == end, "the next cursor is the end")
	_, _, err = to.PullLogs(project, logstore, shard, "MTIzNDU2", "", 10)
	refused("InvalidCursor", err)
	_, err = client("wrong", false).ListShards(project, logstore)
	refused("SignatureNotMatch", err)
	_, err = client("wrong", true).ListShards(project, logstore)
	refused("SignatureNotMatch", err)
	_, err = to.ListShards(project, "other-logstore")
	refused("LogStoreNotExist", err)
}

func groupCalls() {
	to, name := client(secret, false), run()
	must(to.CreateConsumerGroup(project, logstore, sls.ConsumerGroup{ConsumerGroupName: name, Timeout: 30}))
	err := to.CreateConsumerGroup(project, logstore, sls.ConsumerGroup{ConsumerGroupName: name, Timeout: 30})
	refused("ConsumerGroupAlreadyExist", err)
	must(to.UpdateConsumerGroup(project, logstore, sls.ConsumerGroup{ConsumerGroupName: name, Timeout: 20, InOrder: true}))
	listed, err := to.ListConsumerGroup(project, logstore)
	must(err)
	at := slices.IndexFunc(listed, func(one *sls.ConsumerGroup) bool { return one.ConsumerGroupName == name })
	check(listed[at].Timeout == 20 && listed[at].InOrder, "the group was updated")
	held, err := to.HeartBeat(project, logstore, name, "a b", nil)
	must(err)
	check(len(held) > 0, "the only consumer holds shards")
	cursor, err := to.GetCursor(project, logstore, held[0], "begin")
	must(err)
	must(to.UpdateCheckpoint(project, logstore, name, "a b", held[0], cursor, false))
	refused("ConsumerNotExist", to.UpdateCheckpoint(project, logstore, name, "x", held[0], cursor, false))
	points, err := to.GetCheckpoint(project, logstore, name)
	must(err)
	at = slices.IndexFunc(points, func(one *sls.ConsumerGroupCheckPoint) bool { return one.ShardID == held[0] })
	check(points[at].CheckPoint == cursor && points[at].Consumer == "a b", "the checkpoint is kept")
	_, err = to.HeartBeat(project, logstore, name, "stranger", held)
	refused("NotExistConsumerWithBody", err)
	must(to.DeleteConsumerGroup(project, logstore, name))
}

func splitAndMerge() {
	to := client(secret, true)
	var last *sls.Shard
	for _, shard := range shards(to) {
		if shard.Status == "readwrite" && strings.Trim(shard.ExclusiveBeginKey, "f") == "" {
			last = shard
		}
	}
	changed, err := to.SplitShard(project, logstore, last.ShardID, "f"+strings.Repeat("8", 31))
	must(err)
	check(len(changed) == 3, "a split names three shards")
	changed, err = to.MergeShards(project, logstore, changed[1].ShardID)
	must(err)
	check(len(changed) == 3, "a merge names three shards")
}

// What all consumers of a group have processed.
type journal struct {
	lock sync.Mutex
	seen map[int]int
	by   map[string]int
}

func (j *journal) different() int {
	j.lock.Lock()
	defer j.lock.Unlock()
	return len(j.seen)
}

func (j *journal) worker(name, group, run string) *consumer.ConsumerWorker {
	option := consumer.LogHubConfig{
		Endpoint: endpoint, AccessKeyID: key, AccessKeySecret: secret, Project: project, Logstore: logstore,
		ConsumerGroupName: group, ConsumerName: name, CursorPosition: consumer.BEGIN_CURSOR,
		HeartbeatIntervalInSecond: 1, HeartbeatTimeoutInSecond: 3, Logger: log.NewNopLogger(),
	}
	process := func(shard int, list *sls.LogGroupList, tracker consumer.CheckPointTracker) (string, error) {
		j.lock.Lock()
		for _, number := range numbers(list.LogGroups, run) {
			j.seen[number]++
			j.by[name]++
		}
		j.lock.Unlock()
		return "", tracker.SaveCheckPoint(true)
	}
	made := consumer.InitConsumerWorkerWithCheckpointTracker(option, process)
	made.Start()
	return made
}

func twoConsumersShareAGroup() {
	to, run := client(secret, false), run()
	journal := &journal{seen: map[int]int{}, by: map[string]int{}}
	written := 0
	write := func(count int) {
		for range count {
			must(to.PutLogs(project, logstore, group(run, written, written+1)))
			written += 2
		}
	}
	all := func() bool { return journal.different() == written }
	write(100)
	a := journal.worker("a", run, run)
	until("a has processed everything", all)
	b := journal.worker("b", run, run)
	until("b takes part", func() bool {
		write(5)
		journal.lock.Lock()
		defer journal.lock.Unlock()
		return journal.by["b"] > 50
	})
	until("both have processed everything", all)
	b.StopAndWait()
	write(100)
	until("a has taken over what b left", all)
	a.StopAndWait()
	for number, times := range journal.seen {
		check(times == 1, "log %d was processed %d times though nothing failed", number, times)
	}
}

func until(what string, look func() bool) {
	for end := time.Now().Add(patience); !look(); time.Sleep(100 * time.Millisecond) {
		check(time.Now().Before(end), "waited in vain for: %s", what)
	}
}

// Reads so many logs as a member of a group, as fast as the library can.
func consume(group string, count int64) {
	var seen atomic.Int64
	done := make(chan struct{})
	process := func(_ int, list *sls.LogGroupList, tracker consumer.CheckPointTracker) (string, error) {
		var logs int64
		for _, one := range list.LogGroups {
			logs += int64(len(one.Logs))
		}
		if before := seen.Add(logs) - logs; before < count && before+logs >= count {
			close(done)
		}
		return "", tracker.SaveCheckPoint(false)
	}
	worker := consumer.InitConsumerWorkerWithCheckpointTracker(consumer.LogHubConfig{
		Endpoint: endpoint, AccessKeyID: key, AccessKeySecret: secret, Project: project, Logstore: logstore,
		ConsumerGroupName: group, ConsumerName: "go", CursorPosition: consumer.BEGIN_CURSOR,
		DataFetchIntervalInMs: 1, Logger: log.NewNopLogger(),
	}, process)
	worker.Start()
	<-done
	fmt.Println("go: consumed", seen.Load())
	os.Exit(0)
}

func main() {
	if len(os.Args) == 4 && os.Args[1] == "consume" {
		count, err := strconv.ParseInt(os.Args[3], 10, 64)
		must(err)
		consume(os.Args[2], count)
	}
	defer func() {
		if reason := recover(); reason != nil {
			fmt.Println("go: FAILED:", reason)
			os.Exit(1)
		}
	}()
	for _, one := range []struct {
		name string
		run  func()
	}{
		{"put and pull", putAndPull},
		{"cursors and mistakes", cursors},
		{"group calls", groupCalls},
		{"split and merge", splitAndMerge},
		{"two consumers share a group", twoConsumersShareAGroup},
	} {
		began := time.Now()
		one.run()
		fmt.Printf("go: %s (%.1f s)\n", one.name, time.Since(began).Seconds())
	}
}
