//! Processes, by their ids.

use std::{fs, process::Command, time::Duration};

/// Sends a signal to one process. One that has ended already gets none.
pub fn signal(name: &str, id: u32) {
    let mut kill = Command::new("kill");
    kill.args([&format!("-{name}"), &id.to_string()]);
    kill.output().unwrap();
}

/// The processes that a process has started, and that still run.
pub fn children(id: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
    let children = children.unwrap_or_default();
    children
        .split_whitespace()
        .map(|id| id.parse().unwrap())
        .collect()
}

/// The processor time that a process has used.
fn cpu_time(id: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    // What follows the name, which may hold anything.
    let fields: Vec<_> = stat.rsplit(')').next().unwrap().split(' ').collect();
    let ticks: u64 = fields[12].parse::<u64>().unwrap() + fields[13].parse::<u64>().unwrap();
    // A hundred in a second, on every Linux.
    Duration::from_millis(ticks * 10)
}

/// The processor time that a process uses within this time from now.
pub async fn cpu_time_within(time: Duration, id: u32) -> Duration {
    let before = cpu_time(id);
    tokio::time::sleep(time).await;
    cpu_time(id).saturating_sub(before)
}

/// Whether this user may do everything.
pub fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output().unwrap();
    output.stdout == b"0\n"
}
