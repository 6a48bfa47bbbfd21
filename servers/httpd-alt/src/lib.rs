//! Another front page for the web server: the servers as cards, the busiest first.
//!
//! All the rest is `httpd`'s: this crate is what it takes to exchange a server for a variant of it.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use httpd::page::{Facts, domain, frame, state};
use httpd::text::{bytes, duration, html};
use ipc::status::SlotStatus;

/// Bytes of a page of memory.
const PAGE: u64 = 4096;

const STYLE: &str = "<style>\
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(13rem,1fr));gap:1rem;margin-top:1.5rem}\
.card{border:1px solid var(--line);border-radius:.75rem;padding:1rem}\
.card b{display:block;font-size:1.1rem}.card meter{width:100%}</style>";

/// The front page.
pub fn front(facts: &Facts<'_>) -> String {
    let Facts { snapshot, title, has_files } = *facts;
    let mut servers: Vec<&SlotStatus> = snapshot.servers.iter().collect();
    servers.sort_by_key(|server| core::cmp::Reverse(server.cpu));
    let most = servers.first().map_or(1, |server| server.cpu.max(1));
    let cards: String = servers.iter().map(|server| card(server, most)).collect();
    let files = if has_files { " · <a href=\"/files/\">files</a>" } else { "" };
    let body = format!(
        "{STYLE}<h1>{}</h1>\n<p class=\"lead\">The alternative page of system <b>{}</b></p>\n{}\n\
         <div class=\"cards\">\n{cards}</div>\n<footer><a href=\"/status.json\">status.json</a>{files}</footer>\n",
        html(title),
        html(&snapshot.system),
        domain(snapshot),
    );
    frame(title, &body)
}

fn card(server: &SlotStatus, most: u64) -> String {
    let state = state(server.state);
    format!(
        "<div class=\"card\"><b>{}</b><span class=\"{state}\">{state}</span>, priority {}\
         <meter max=\"{most}\" value=\"{}\"></meter>{} of CPU time, {} of memory, {} calls</div>\n",
        html(&server.name),
        server.priority,
        server.cpu,
        duration(server.cpu),
        bytes(server.pages * PAGE),
        server.calls + server.served,
    )
}

#[cfg(test)]
mod tests {
    use super::front;
    use httpd::page::Facts;
    use ipc::status::{SlotStatus, Snapshot, State};
    use std::vec;

    #[test]
    fn the_busiest_server_comes_first() {
        let server = |name: &str, cpu| SlotStatus {
            name: name.into(),
            state: State::Running,
            priority: 1,
            vcpu: 0,
            restarts: 0,
            pages: 1,
            cpu,
            calls: 1,
            served: 1,
            paid: 0,
            granted: 0,
            age: 0,
            image: "".into(),
            version: "".into(),
            build: [0; 4],
            held: Default::default(),
        };
        let snapshot = Snapshot {
            system: "web-alt".into(),
            uptime: 1,
            entry: 0,
            xen: (4, 17),
            domain: 1,
            vcpus: 1,
            memory: 4096,
            free: 0,
            kernel: 0,
            upcalls: 1000,
            lock: ipc::status::Contention::default(),
            flushes: 0,
            servers: vec![server("idle", 1), server("busy<", 900), server("some", 30)],
        };
        let page = front(&Facts { snapshot: &snapshot, title: "Other", has_files: false });
        let at = |text| page.find(text).unwrap();
        assert!(at("busy&lt;") < at("some") && at("some") < at("idle"));
        assert!(page.contains("The alternative page of system <b>web-alt</b>"));
    }
}
