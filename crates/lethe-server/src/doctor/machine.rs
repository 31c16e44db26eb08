//! The machine: what may write memory to a disk, and the limits that the process has.

use std::fs;

use rustix::process::{Resource, getrlimit};

use super::Report;
use crate::config::Config;

pub(super) fn check(report: &mut Report, config: &Config) {
    memory(report);
    let core = getrlimit(Resource::Core).current;
    if core == Some(0) || !config.memory.allow_dumps {
        report.good("memory.core", "the server writes no core dumps");
    } else {
        report.warn(
            "memory.core",
            format!("core dumps of {} are allowed", limit(core)),
            "a crash would write roots and keys to a disk: set `LimitCORE=0`, or `ulimit -c 0`",
        );
    }
    swap(report);
    if rustix::process::geteuid().is_root() {
        let advice = "give the server a user of its own, and run the doctor as that one";
        report.warn("user", "this is root", advice);
    } else {
        report.good("user", format!("user {}", rustix::process::geteuid().as_raw()));
    }
    files(report, config);
}

fn memory(report: &mut Report) {
    let locked = getrlimit(Resource::Memlock).current;
    let found = format!("{} can be kept from swapping", limit(locked));
    match locked {
        Some(_) if !rustix::process::geteuid().is_root() => {
            let advice = "set `LimitMEMLOCK=infinity`: what cannot be locked can reach the swap";
            report.warn("memory.locked", found, advice);
        }
        Some(_) | None => report.good("memory.locked", "all of it can be kept from swapping"),
    }
}

fn swap(report: &mut Report) {
    let Ok(swaps) = fs::read_to_string("/proc/swaps") else { return };
    // Compressed memory is no disk.
    let on_disk: Vec<&str> = swaps
        .lines()
        .skip(1)
        .filter_map(|line| line.split_whitespace().next())
        .filter(|place| !place.starts_with("/dev/zram"))
        .collect();
    if on_disk.is_empty() {
        report.good("memory.swap", "no swap on a disk");
    } else {
        report.warn(
            "memory.swap",
            format!("swap on {}", on_disk.join(", ")),
            "roots and keys can be written there: set `MemorySwapMax=0`, or encrypt it with a key \
             that dies with the machine",
        );
    }
}

/// Descriptors beside those of connections: the store, its readers, the audit trail, the slot.
const FILES_BESIDE: u64 = 128;

fn files(report: &mut Report, config: &Config) {
    let connections = config.doors.iter().map(|door| door.limits.connections);
    let listeners = config.doors.iter().map(|door| 1 + usize::from(door.http_listen.is_some()));
    let most = connections.zip(listeners).map(|(connections, listeners)| connections * listeners);
    let wanted = u64::try_from(most.sum::<usize>()).unwrap_or(u64::MAX) + FILES_BESIDE;
    let open = getrlimit(Resource::Nofile).current;
    match open {
        Some(files) if files < wanted => report.warn(
            "files",
            format!("{files} open files are allowed, the doors take up to {wanted}"),
            "set `LimitNOFILE`, or fewer connections",
        ),
        Some(_) | None => report.good("files", format!("{} open files are allowed", count(open))),
    }
}

fn limit(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| "any size".to_owned(), |bytes| format!("{bytes} bytes"))
}

fn count(number: Option<u64>) -> String {
    number.map_or_else(|| "any number of".to_owned(), |number| number.to_string())
}
