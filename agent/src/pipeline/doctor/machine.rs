//! What the machine gives the agent: open files, file watches, room on the disk, the disk's kind, a clock. Blocking.

use std::path::Path;

use rustix::fs::{Access, Mode, OFlags, StatVfsMountFlags};
use rustix::process::{Resource, getrlimit};
use splashdam_api::words::{bytes, count};
use splashdam_api::{Check, Verdict};

use super::{advised, check};
use crate::pipeline::agent::MIN_FREE_BYTES;
use crate::record::Timestamp;

/// No clock that is right is before 2025.
const EARLIEST_MS: i64 = 1_735_689_600_000;

/// `wanted`: bytes that the jobs may keep in `folder`; `kept`: those that lie there.
pub(super) fn look(folder: &Path, wanted: u64, kept: u64) -> Vec<Check> {
    let mut checks = vec![open_files()];
    checks.extend(watches());
    checks.extend(room(folder, wanted, kept));
    checks.push(writable(folder));
    checks.extend(kind_of_disk(folder));
    let now = Timestamp::now();
    if now.0 < EARLIEST_MS {
        let wrong = check(None, "clock", Verdict::Bad, format!("this machine believes it is {}", now.to_rfc3339()));
        checks.push(advised(wrong, "set the clock: timedatectl set-ntp true"));
    }
    checks
}

fn open_files() -> Check {
    let open = std::fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64);
    let Some(limit) = getrlimit(Resource::Nofile).current else {
        return check(None, "open files", Verdict::Ok, format!("{} open, no limit", count(open)));
    };
    let found = format!("{} open of {}", count(open), count(limit));
    let verdict = match open.saturating_mul(100) / limit.max(1) {
        95.. => Verdict::Bad,
        75.. => Verdict::Warn,
        _ if limit < 1024 => Verdict::Warn,
        _ => Verdict::Ok,
    };
    let found = check(None, "open files", verdict, found);
    if verdict == Verdict::Ok { found } else { advised(found, "raise LimitNOFILE= of the unit (ulimit -n)") }
}

/// Folders that are watched for new files; without watches they are listed on a timer.
fn watches() -> Option<Check> {
    let number = |name: &str| -> Option<u64> {
        std::fs::read_to_string(format!("/proc/sys/fs/inotify/{name}")).ok()?.trim().parse().ok()
    };
    let limit = number("max_user_watches")?;
    let held = std::fs::read_dir("/proc/self/fdinfo").ok()?.flatten().map(|entry| {
        let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
        text.lines().filter(|line| line.starts_with("inotify ")).count() as u64
    });
    let held: u64 = held.sum();
    let found = format!("{} of {} that this user may have", count(held), count(limit));
    let much = held.saturating_mul(100) / limit.max(1) >= 80;
    let found = check(None, "file watches", if much { Verdict::Warn } else { Verdict::Ok }, found);
    Some(if much {
        advised(found, "raise it: sysctl fs.inotify.max_user_watches; until then folders are listed on a timer")
    } else {
        found
    })
}

fn room(folder: &Path, wanted: u64, kept: u64) -> Option<Check> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let place = folder.display();
    let more = wanted.saturating_sub(kept).saturating_add(MIN_FREE_BYTES);
    let found =
        format!("{} free for {place}, which holds {} and may grow to {}", bytes(free), bytes(kept), bytes(wanted));
    if disk.f_files > 0 && disk.f_favail < 1000 {
        let few = check(None, "disk", Verdict::Bad, format!("{found}; only {} files can be made", disk.f_favail));
        return Some(advised(few, "the file system has no inodes left: delete files"));
    }
    Some(if free < MIN_FREE_BYTES {
        let full = check(None, "disk", Verdict::Bad, found);
        advised(full, &format!("make room: below {} MiB nothing more is read until there is", MIN_FREE_BYTES >> 20))
    } else if free < more {
        let tight = check(None, "disk", Verdict::Warn, found);
        advised(tight, "lower buffer.max_bytes, or make room: in a long outage the disk is full before the buffers are")
    } else {
        check(None, "disk", Verdict::Ok, found)
    })
}

/// Tries it with a file without a name, which leaves nothing behind.
fn writable(folder: &Path) -> Check {
    let place = folder.display();
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let tried =
        rustix::fs::open(folder, flags, Mode::RUSR | Mode::WUSR).and_then(|file| rustix::io::write(&file, b"x"));
    let read_only = rustix::fs::statvfs(folder).is_ok_and(|disk| disk.f_flag.contains(StatVfsMountFlags::RDONLY));
    match tried {
        Ok(_) => check(None, "data directory", Verdict::Ok, format!("{place} can be written to")),
        // Not every file system has such files.
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::ISDIR | rustix::io::Errno::INVAL) if !read_only => {
            let may = rustix::fs::access(folder, Access::WRITE_OK).is_ok();
            let verdict = if may { Verdict::Ok } else { Verdict::Bad };
            check(
                None,
                "data directory",
                verdict,
                format!("{place} {} be written to", if may { "can" } else { "can't" }),
            )
        }
        Err(error) => {
            let shut = check(None, "data directory", Verdict::Bad, format!("{place} can't be written to: {error}"));
            let advice = if read_only {
                "the file system is mounted read-only (errors? see dmesg)"
            } else {
                "give it to the agent's user, or see that its disk has room"
            };
            advised(shut, advice)
        }
    }
}

/// What a file system is by its magic number, and why the data directory should not be there.
const KINDS: &[(u64, &str, &str)] = &[
    (0x6969, "NFS", "locks and syncs over the network are not to be trusted with what is owed"),
    (0x517B, "SMB", "locks and syncs over the network are not to be trusted with what is owed"),
    (0xFF53_4D42, "CIFS", "locks and syncs over the network are not to be trusted with what is owed"),
    (0xFE53_4D42, "SMB", "locks and syncs over the network are not to be trusted with what is owed"),
    (0x0102_1997, "9P", "locks and syncs over it are not to be trusted with what is owed"),
    (0x6573_5546, "FUSE", "whether it keeps what is synced depends on what is behind it"),
    (0x0102_1994, "tmpfs", "it is gone after a restart of the machine, with positions and all that is owed"),
    (0x8584_58F6, "ramfs", "it is gone after a restart of the machine, with positions and all that is owed"),
    (0x794C_7630, "overlay", "it is gone with the container, with positions and all that is owed"),
];

fn kind_of_disk(folder: &Path) -> Option<Check> {
    let magic = (rustix::fs::statfs(folder).ok()?.f_type as u64) & 0xFFFF_FFFF;
    let Some((_, name, why)) = KINDS.iter().find(|(known, ..)| *known == magic) else {
        return Some(check(None, "file system", Verdict::Ok, "the data directory is on a local disk".to_owned()));
    };
    let found = check(None, "file system", Verdict::Warn, format!("the data directory is on {name}: {why}"));
    Some(advised(found, "put data_dir on a local disk that stays (of a container: a volume)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_can_be_written_to_is_well_and_a_missing_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(writable(folder.path()).verdict, Verdict::Ok);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "something was left behind");
        let gone = writable(&folder.path().join("gone"));
        assert!(gone.verdict == Verdict::Bad && gone.advice.is_some(), "{gone:?}");
    }

    #[test]
    fn buffers_that_would_not_fit_are_told_before_they_are_full() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(room(folder.path(), 1 << 20, 1 << 20).unwrap().verdict, Verdict::Ok);
        let tight = room(folder.path(), u64::MAX / 2, 0).unwrap();
        assert!(tight.verdict == Verdict::Warn && tight.advice.unwrap().contains("buffer.max_bytes"));
    }
}
