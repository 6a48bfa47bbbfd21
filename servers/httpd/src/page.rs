//! The pages: the state of the domain, directories, and what went wrong.
//!
//! Everything that is not a constant goes through `text`, so no name can break a page.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use ipc::files::Entry;
use ipc::status::{SlotStatus, Snapshot, State};

use crate::response::phrase;
use crate::text::{bytes, duration, fixed, grouped, html, json, url};

/// Bytes of a page of memory.
const PAGE: u64 = 4096;

/// Bytes in which each number of a page has room.
const WIDE: usize = 24;

/// The looks of all pages.
const STYLE: &str = "\
:root{color-scheme:light dark;--line:#8883;--soft:#8888;--good:#2a8c4a;--bad:#c0392b;--calm:#4a7ab5}\
*{box-sizing:border-box}\
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:0 auto;padding:2rem 1rem}\
h1{font-size:1.6rem;margin:0}h2{font-size:1rem;margin:2rem 0 .5rem}\
p.lead{color:var(--soft);margin:.2rem 0 1.5rem}\
dl{display:grid;grid-template-columns:repeat(auto-fit,minmax(9rem,1fr));gap:.75rem;margin:0}\
dl div{border:1px solid var(--line);border-radius:.5rem;padding:.6rem .8rem}\
dt{font-size:.8rem;color:var(--soft)}dd{margin:0;font-size:1.15rem}\
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}\
th,td{padding:.4rem .6rem;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}\
th{font-size:.8rem;font-weight:600;color:var(--soft)}th:first-child,td:first-child,.left{text-align:left}\
.running,.waiting,.calling{color:var(--good)}.starting{color:var(--calm)}.down,.off{color:var(--bad)}\
footer{margin-top:2rem;font-size:.85rem;color:var(--soft)}a{color:inherit}";

/// What a front page is made of.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The state of the system.
    pub snapshot: &'a Snapshot,
    /// The title, by the configuration.
    pub title: &'a str,
    /// Whether there are files to be seen.
    pub has_files: bool,
}

/// What makes the page at `/`.
pub type Front = fn(&Facts<'_>) -> String;

/// A whole page.
pub fn frame(title: &str, body: &str) -> String {
    let title = html(title);
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>{title}</title><style>{STYLE}</style></head>\n<body>\n{body}</body></html>\n"
    )
}

/// The front page: the domain and its servers.
pub fn front(facts: &Facts<'_>) -> String {
    let Facts { snapshot, title, has_files } = *facts;
    let rows: String = snapshot.servers.iter().map(row).collect();
    let files = if has_files { " · <a href=\"/files/\">files</a>" } else { "" };
    let body = format!(
        "<h1>{}</h1>\n<p class=\"lead\">Isolated servers in one Xen domain, system <b>{}</b></p>\n{}\n\
         <h2>Servers</h2>\n<div class=\"wide\"><table>\n<thead><tr><th>Name<th class=\"left\">State<th>Priority\
         <th>Memory<th>CPU time<th>Calls made<th>Calls served<th>Restarts</tr></thead>\n<tbody>\n{rows}</tbody></table></div>\n\
         <footer><a href=\"/status.json\">status.json</a>{files}</footer>\n",
        html(title),
        html(&snapshot.system),
        domain(snapshot),
    );
    frame(title, &body)
}

/// The facts of the domain.
pub fn domain(snapshot: &Snapshot) -> String {
    let (major, minor) = snapshot.xen;
    let used = snapshot.memory.saturating_sub(snapshot.free);
    [
        ("Uptime", duration(snapshot.uptime)),
        ("Xen", format!("{major}.{minor}")),
        ("Domain", format!("{}", snapshot.domain)),
        ("vCPUs", format!("{}", snapshot.vcpus)),
        ("Memory", bytes(snapshot.memory * PAGE)),
        ("Used", bytes(used * PAGE)),
        ("Kernel", bytes(snapshot.kernel * PAGE)),
    ]
    .iter()
    .fold(String::from("<dl>"), |list, (name, value)| {
        list + &format!("<div><dt>{name}</dt><dd>{}</dd></div>", fixed(value, WIDE))
    }) + "</dl>"
}

fn row(server: &SlotStatus) -> String {
    let state = state(server.state);
    let numbers: String = [
        format!("{}", server.priority),
        bytes(server.pages * PAGE),
        duration(server.cpu),
        grouped(server.calls),
        grouped(server.served),
        format!("{}", server.restarts),
    ]
    .iter()
    .map(|number| String::from("<td>") + &fixed(number, WIDE))
    .collect();
    let (class, word) = (fixed(state, 8), fixed(state, 8));
    format!("<tr><td>{}<td class=\"left {class}\">{word}{numbers}</tr>\n", html(&server.name))
}

/// The word for a state.
pub const fn state(state: State) -> &'static str {
    match state {
        State::Starting => "starting",
        State::Running => "running",
        State::Waiting => "waiting",
        State::Calling => "calling",
        State::Down => "down",
        State::Off => "off",
    }
}

/// The same facts for programs: bytes, nanoseconds, and names in snake case.
pub fn status_json(snapshot: &Snapshot) -> String {
    let servers: Vec<String> = snapshot.servers.iter().map(server_json).collect();
    format!(
        "{{\"system\":{},\"uptime_ns\":{},\"xen\":\"{}.{}\",\"domain\":{},\"vcpus\":{},\
         \"memory_bytes\":{},\"free_bytes\":{},\"kernel_bytes\":{},\"servers\":[{}]}}\n",
        json(&snapshot.system),
        snapshot.uptime,
        snapshot.xen.0,
        snapshot.xen.1,
        snapshot.domain,
        snapshot.vcpus,
        snapshot.memory * PAGE,
        snapshot.free * PAGE,
        snapshot.kernel * PAGE,
        servers.join(","),
    )
}

fn server_json(server: &SlotStatus) -> String {
    format!(
        "{{\"name\":{},\"state\":\"{}\",\"priority\":{},\"memory_bytes\":{},\"cpu_ns\":{},\
         \"calls\":{},\"served\":{},\"restarts\":{}}}",
        json(&server.name),
        state(server.state),
        server.priority,
        server.pages * PAGE,
        server.cpu,
        server.calls,
        server.served,
        server.restarts,
    )
}

/// The page that goes with a status.
pub fn failure(status: u16, text: &str) -> String {
    let title = format!("{status} {}", phrase(status));
    frame(&title, &format!("<h1>{title}</h1>\n<p class=\"lead\">{}</p>\n", html(text)))
}

/// The beginning of a directory's page, up to its first entry.
pub fn listing_begin(path: &str) -> String {
    let up = "<tr><td><a href=\"../\">..</a><td></tr>\n";
    let body = format!("<h1>{}</h1>\n<div class=\"wide\"><table><tbody>\n{up}", html(path));
    let page = frame(path, &body);
    page.strip_suffix(LISTING_END_OF_FRAME).map(String::from).unwrap_or(page)
}

const LISTING_END_OF_FRAME: &str = "</body></html>\n";
/// The end of a directory's page.
pub const LISTING_END: &str = "</tbody></table></div>\n</body></html>\n";

/// An entry of a directory's page.
pub fn listing_entry(entry: &Entry) -> String {
    let (name, slash) = (&entry.name, if entry.is_directory { "/" } else { "" });
    let size = if entry.is_directory { String::new() } else { bytes(entry.size) };
    format!("<tr><td><a href=\"{}{slash}\">{}{slash}</a><td>{size}</tr>\n", url(name), html(name))
}

#[cfg(test)]
mod tests {
    use super::{Facts, failure, front, listing_begin, listing_entry, status_json};
    use ipc::files::Entry;
    use ipc::status::{SlotStatus, Snapshot, State};
    use std::vec;

    fn snapshot() -> Snapshot {
        Snapshot {
            system: "web<1>".into(),
            uptime: 61_000_000_000,
            entry: 0,
            xen: (4, 17),
            domain: 3,
            vcpus: 1,
            memory: 4096,
            free: 1024,
            kernel: 100,
            upcalls: 1000,
            lock: ipc::status::Contention::default(),
            flushes: 0,
            servers: vec![SlotStatus {
                name: "httpd\"".into(),
                state: State::Waiting,
                priority: 40,
                vcpu: 0,
                restarts: 2,
                pages: 200,
                cpu: 1_500_000,
                calls: 12_345,
                served: 0,
                paid: 0,
                granted: 0,
                age: 0,
                image: "".into(),
                version: "".into(),
                build: [0; 4],
                held: Default::default(),
            }],
        }
    }

    #[test]
    fn the_front_page_tells_all_facts() {
        let snapshot = snapshot();
        let page = front(&Facts { snapshot: &snapshot, title: "Hello & welcome", has_files: true });
        for text in [
            "Hello &amp; welcome",
            "web&lt;1&gt;",
            "1 min 1 s",
            "4.17",
            "16 MiB",
            "12 MiB",
            "400 KiB",
            "httpd&quot;",
            "waiting",
            "800 KiB",
            "1.5 ms",
            "12\u{202f}345",
            "href=\"/files/\"",
        ] {
            assert!(page.contains(text), "{text}");
        }
        assert!(
            !front(&Facts { snapshot: &snapshot, title: "x", has_files: false })
                .contains("/files/")
        );
    }

    #[test]
    fn the_front_page_keeps_its_length() {
        let mut snapshot = snapshot();
        let length =
            |snapshot: &Snapshot| front(&Facts { snapshot, title: "x", has_files: true }).len();
        let before = length(&snapshot);
        snapshot.uptime *= 5000;
        snapshot.free -= 1000;
        for server in &mut snapshot.servers {
            (server.state, server.cpu) = (State::Down, server.cpu * 7_777_777);
            (server.calls, server.served) = (server.calls * 99_999, 1);
        }
        assert_eq!(length(&snapshot), before);
    }

    #[test]
    fn the_same_facts_are_there_for_programs() {
        let text = status_json(&snapshot());
        for part in [
            "\"system\":\"web<1>\"",
            "\"uptime_ns\":61000000000",
            "\"xen\":\"4.17\"",
            "\"memory_bytes\":16777216",
            "\"name\":\"httpd\\\"\"",
            "\"state\":\"waiting\"",
            "\"restarts\":2}]}",
        ] {
            assert!(text.contains(part), "{part}");
        }
    }

    #[test]
    fn names_cannot_break_a_page() {
        let entry = Entry { name: "<b> & \"x\"".into(), size: 5, is_directory: true };
        let line = listing_entry(&entry);
        assert!(
            line.contains("href=\"%3Cb%3E%20%26%20%22x%22/\"")
                && line.contains("&lt;b&gt; &amp; &quot;x&quot;/")
        );
        assert!(listing_begin("/files/<i>/").ends_with("</tr>\n"));
        assert!(failure(404, "<x>").contains("404 Not Found</h1>\n<p class=\"lead\">&lt;x&gt;"));
    }
}
