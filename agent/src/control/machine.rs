//! Facts about the machine for the support bundle: kernel, limits, memory, disk. Blocking; what can't be read is left out.

use std::path::Path;

use splashdam_api::words::bytes;

/// Lines of `key: value`, then the limits of the process.
pub(super) fn facts(data_dir: &Path) -> String {
    let mut text = String::new();
    let mut say = |key: &str, value: String| text.push_str(&format!("{key}: {}\n", value.trim()));
    let system = rustix::system::uname();
    let word = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
    say("kernel", format!("{} {} {}", word(system.sysname()), word(system.release()), word(system.machine())));
    if let Some(name) = line_of("/etc/os-release", "PRETTY_NAME=") {
        say("system", name.trim_matches('"').to_owned());
    }
    say("processors", std::thread::available_parallelism().map_or(0, |n| n.get()).to_string());
    for (key, file, of) in [
        ("memory", "/proc/meminfo", "MemTotal:"),
        ("memory available", "/proc/meminfo", "MemAvailable:"),
        ("resident", "/proc/self/status", "VmRSS:"),
        ("threads", "/proc/self/status", "Threads:"),
        ("user", "/proc/self/status", "Uid:"),
        ("capabilities", "/proc/self/status", "CapEff:"),
    ] {
        line_of(file, of).into_iter().for_each(|value| say(key, value));
    }
    for (key, file) in [
        ("load", "/proc/loadavg"),
        ("up since so many seconds", "/proc/uptime"),
        ("max_user_watches", "/proc/sys/fs/inotify/max_user_watches"),
        ("memory.max of the unit", "/sys/fs/cgroup/memory.max"),
    ] {
        std::fs::read_to_string(file).into_iter().for_each(|value| say(key, value));
    }
    if let Ok(disk) = rustix::fs::statvfs(data_dir) {
        let (free, all) = (disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize);
        say("disk of the data directory", format!("{} free of {}", bytes(free), bytes(all)));
    }
    if let Ok(kind) = rustix::fs::statfs(data_dir) {
        say("its file system", format!("{:#x}", (kind.f_type as u64) & 0xFFFF_FFFF));
    }
    text.push('\n');
    text.push_str(&std::fs::read_to_string("/proc/self/limits").unwrap_or_default());
    text
}

/// What stands behind the beginning of a file's line.
fn line_of(file: &str, begin: &str) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    text.lines()
        .find_map(|line| line.strip_prefix(begin))
        .map(|rest| rest.split_whitespace().collect::<Vec<_>>().join(" "))
}
