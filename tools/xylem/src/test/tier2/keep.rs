//! What is kept of a case that failed.
//!
//! Invariant: it keeps what it can and never fails: the first failure is the one that is told.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::machine::Machine;
use crate::test::failed;

/// For reading one log.
const LIMIT: Duration = Duration::from_secs(20);

/// What is asked of domain 0, and the file for the answer.
const QUESTIONS: &[(&str, &str)] = &[
    ("xl-dmesg.log", "xl dmesg"),
    ("dom0-dmesg.log", "dmesg"),
    ("xl-list.log", "xl list -l; xl list"),
    ("xenstore.log", "xenstore-ls -f"),
    ("xl.log", "tail -n +1 /var/log/xen/*.log"),
    ("network.log", "ip address; ip neighbour; bridge fdb 2>/dev/null; cat /proc/net/dev"),
];

/// Keeps consoles and logs of a case's machine, and tells where.
pub fn evidence(name: &str, machine: Option<&Machine<'_>>) -> String {
    let folder = failed::folder(name);
    let Some(machine) = machine else { return "there is no machine to look at".into() };
    if let Err(error) = fs::create_dir_all(&folder) {
        return format!("nothing could be kept in {}: {error}", folder.display());
    }
    for log in ["xen.log", "qemu.log"] {
        let _ = fs::copy(machine.instance().run().join(log), folder.join(log));
    }
    consoles(machine, &folder);
    for (file, question) in QUESTIONS {
        save(machine, question, &folder.join(file));
    }
    format!("consoles and logs are in {}", folder.display())
}

fn consoles(machine: &Machine<'_>, folder: &Path) {
    let list = "cd /var/log/xen/console && ls guest-*.log";
    let Ok(output) = machine.dom0().exec(list, LIMIT) else { return };
    for name in output.text.split_whitespace().filter(|name| name.ends_with(".log")) {
        let file = folder.join(name.replacen("guest-", "console-", 1));
        let _ = machine.dom0().get(&format!("/var/log/xen/console/{name}"), &file);
    }
}

fn save(machine: &Machine<'_>, question: &str, file: &Path) {
    if let Ok(output) = machine.dom0().exec(question, LIMIT) {
        let _ = fs::write(file, output.text);
    }
}
