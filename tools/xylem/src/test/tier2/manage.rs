//! The operator's link: what is asked over it is answered and done, and whoever misuses it hurts nobody.
//!
//! The page is fetched all the time, in domain 0, but where there is none.

use std::time::Duration;

use ipc::history::Death;
use ipc::manage::{Action, Answer, From, Line, Request};
use ipc::status::{Snapshot, State};
use rig::Stream;

use super::fault::{Fault, Outcome, Step, contains, ensure};
use super::guest::Guest;
use super::machine::{ASK, Machine, Order};
use crate::failure::Failure;
use crate::link::Link;
use crate::live::Program;

/// For a server to be back.
const BACK: Duration = Duration::from_secs(20);
/// For one misuse of the link.
const RUDE: Duration = Duration::from_secs(60);
/// A hello in a frame, as a word for printf.
const HELLO: &str = r"'\003\0\0\0\0\001\007'";
/// A request for the state of the system.
const STATUS: &str = r"'\001\0\0\0\001'";

fn link(machine: &Machine<'_>, name: &str) -> Outcome<Link> {
    Link::open(machine.dom0(), Some(name)).step("open the link")
}

fn ask(link: &mut Link, request: &Request) -> Outcome<Answer> {
    link.ask(request).step(&format!("ask {request:?}"))
}

fn status(link: &mut Link) -> Outcome<Snapshot> {
    match ask(link, &Request::Status)? {
        Answer::Status(snapshot) => Ok(snapshot),
        other => Err(Fault::new("the state", format!("{other:?}"))),
    }
}

fn act(link: &mut Link, server: &str, action: Action) -> Outcome<Answer> {
    ask(link, &Request::Act { server: server.into(), action })
}

/// `ps`: the servers of the running domain, by a link that is opened again and again.
pub fn ps(machine: &Machine<'_>) -> Outcome {
    let web = machine.web()?;
    for _ in 0..3 {
        let snapshot = status(&mut link(machine, web.name())?)?;
        let step = "the state";
        let names: Vec<&str> = snapshot.servers.iter().map(|one| one.name.as_str()).collect();
        contains(&names.join(" "), "supervisor xenstore log console manage", step)?;
        let unwell = |state| matches!(state, State::Down | State::Off);
        let bad = snapshot.servers.iter().find(|one| unwell(one.state) || one.version.is_empty());
        ensure(bad.is_none(), step, || format!("{bad:?}"))?;
        ensure(snapshot.uptime > 0 && snapshot.system == "web", step, || snapshot.system.clone())?;
    }
    let step = "a domain that is not there";
    match Link::open(machine.dom0(), Some("nobody")) {
        Err(error @ Failure::NoDomain { .. }) => {
            ensure(error.code() == 3, step, || error.to_string())?
        }
        other => return Err(Fault::new(step, format!("{:?}", other.err().map(|e| e.to_string())))),
    }
    web.is_unhurt("asking for its state")
}

fn lines(
    link: &mut Link,
    from: From,
    server: Option<&str>,
    wait: u32,
) -> Outcome<(Vec<Line>, u64)> {
    let server = server.map(String::from);
    match ask(link, &Request::Log { from, server, wait })? {
        Answer::Log { lines, next } => Ok((lines, next)),
        other => Err(Fault::new("lines of the log", format!("{other:?}"))),
    }
}

/// `log`: old lines, those of one server, and new ones as they come.
pub fn log(machine: &Machine<'_>) -> Outcome {
    let web = machine.web()?;
    let mut link = link(machine, web.name())?;
    let (all, next) = lines(&mut link, From::Last(500), None, 0)?;
    let text: String =
        all.iter().map(|line| format!("[{}] {}\n", line.server, line.text)).collect();
    contains(&text, "[net] address 10.0.3.", "old lines")?;
    let (own, _) = lines(&mut link, From::Last(500), Some("net"), 0)?;
    let strangers = own.iter().any(|line| line.server != "net");
    ensure(!own.is_empty() && !strangers, "lines of net", || format!("{own:?}"))?;
    ensure(act(&mut link, "net", Action::Restart)? == Answer::Done, "restart net", String::new)?;
    let (new, _) = lines(&mut link, From::Number(next), Some("net"), 10_000)?;
    let is_new = new.first().is_some_and(|line| line.number >= next);
    ensure(is_new, "a new line of net", || format!("{new:?}"))?;
    web.page().map(drop)
}

/// Servers that are started again, one after the other, the link's own last.
const SERVERS: [&str; 5] = ["httpd", "xenstore", "log", "console", "manage"];

/// `restart`, `stop`, `start` and `kill`: done by name, told among the events, refused where they make no sense.
pub fn restart(machine: &Machine<'_>) -> Outcome {
    let web = machine.web()?;
    for server in SERVERS {
        let mut link = link(machine, web.name())?;
        let before = restarts(&status(&mut link)?, server);
        let done = act(&mut link, server, Action::Restart)?;
        ensure(done == Answer::Done, server, || format!("{done:?}"))?;
        drop(link);
        let after = restarts(&status(&mut self::link(machine, web.name())?)?, server);
        ensure(after == before + 1, server, || format!("{after} restarts after {before}"))?;
        web.page()?;
    }
    let mut link = link(machine, web.name())?;
    for action in [Action::Kill, Action::KillWithNull, Action::Stop, Action::Start] {
        let done = act(&mut link, "fs", action)?;
        ensure(done == Answer::Done, "fs", || format!("{action:?}: {done:?}"))?;
        web.page()?;
    }
    for (server, action) in [
        ("nobody", Action::Restart),
        ("supervisor", Action::Kill),
        ("manage", Action::Stop),
        ("fs", Action::Start),
    ] {
        let refused = link.ask(&Request::Act { server: server.into(), action });
        let is_refused = matches!(refused, Err(Failure::Refused { .. }));
        ensure(is_refused, server, || format!("{action:?} of it was not refused"))?;
    }
    let Answer::Events(events) = ask(&mut link, &Request::Events(0))? else {
        return Err(Fault::new("the events", "there are none"));
    };
    let text: String = events.iter().map(|one| format!("{} {}\n", one.server, one.text)).collect();
    for wanted in [
        "httpd is started again, as",
        "fs is killed, as",
        "fs is stopped, as",
        "fs faulted: execution of",
    ] {
        contains(&text, wanted, "the events")?;
    }
    web.page().map(drop)
}

fn restarts(snapshot: &Snapshot, server: &str) -> u32 {
    snapshot.servers.iter().find(|one| one.name == server).map_or(0, |one| one.restarts)
}

fn deaths(link: &mut Link) -> Outcome<Vec<Death>> {
    match ask(link, &Request::Deaths(0))? {
        Answer::Deaths(deaths) => Ok(deaths),
        other => Err(Fault::new("the deaths", format!("{other:?}"))),
    }
}

/// `crash`: a read at address 0 and a panic, each told with its place in the sources.
pub fn crash(machine: &Machine<'_>) -> Outcome {
    let domain = machine.create(Order::of("manage"))?;
    domain.sees("null stays off", BACK)?;
    domain.sees("panics stays off", BACK)?;
    let mut link = link(machine, domain.name())?;
    let deaths = deaths(&mut link)?;
    let of = |name: &str| {
        let found = deaths.iter().find(|death| death.server == name);
        found.ok_or_else(|| Fault::new("the deaths", format!("none of {name}: {deaths:?}")))
    };
    let null = of("null")?;
    contains(&null.reason, "read of an unmapped page", "why null died")?;
    let trace = places(null)?;
    contains(&trace, "tests/rogue/src/acts.rs:", "where null died")?;
    contains(&trace, "run at tests/rogue/src/main.rs:", "who called it")?;
    let panics = of("panics")?;
    contains(&places(panics)?, "core::panicking::panic_fmt", "where panics died")?;
    contains(&panics.lines.join("\n"), "as asked", "its last lines")?;
    let wrong = Program::find(&null.image, &[0; 32]).err();
    ensure(wrong.is_some(), "another build", || "its lines are told".into())?;
    domain.destroy()
}

/// The places of a trace, as text.
fn places(death: &Death) -> Outcome<String> {
    let program = Program::find(&death.image, &death.build).step("find the program")?;
    let spots = death.trace.iter().flat_map(|address| program.spots(*address));
    Ok(spots.map(|spot| format!("{spot}\n")).collect())
}

/// Every misuse of the link, while the page is fetched.
pub fn rude(machine: &Machine<'_>) -> Outcome {
    let web = machine.web()?;
    let pages = Pages::fetch(machine, &web)?;
    let directory = format!("/local/domain/{}/data/xylem", web.id()?);
    let proxy = format!("timeout 10 vchan-socket-proxy --mode=client {} {directory} -", web.id()?);
    for (what, script) in [
        ("noise", format!("head -c 200000 /dev/urandom | {proxy} | wc -c")),
        ("zeros", format!("head -c 200000 /dev/zero | {proxy} | wc -c")),
        ("no hello", format!("{{ printf {STATUS}; sleep 1; }} | {proxy} | wc -c")),
        ("half a length", format!("printf '\\003\\0' | {proxy} | wc -c")),
        ("half a frame", format!("printf '\\003\\0\\0\\0\\0' | {proxy} | wc -c")),
        ("a frame that is too long", format!("printf '\\377\\377\\377\\177' | {proxy} | wc -c")),
        (
            "a flood that nobody reads",
            format!(
                "for i in $(seq 400); do printf {STATUS}; done >/tmp/flood; \
                 {{ printf {HELLO}; for i in $(seq 40); do cat /tmp/flood; done; sleep 4; }} | {proxy} | sleep 4"
            ),
        ),
        (
            "fifty that leave at once",
            format!("for i in $(seq 50); do printf {HELLO} | {proxy} >/dev/null; done"),
        ),
        (
            "a killed one",
            format!(
                "{{ printf {HELLO}; sleep 9; }} | vchan-socket-proxy --mode=client {} {directory} - >/dev/null & \
                 sleep 1; kill -9 $(pidof vchan-socket-proxy); wait",
                web.id()?
            ),
        ),
    ] {
        machine.exec(what, &format!("{script} 2>&1"), RUDE)?;
        let snapshot = status(&mut link(machine, web.name())?)?;
        let count = restarts(&snapshot, "manage");
        ensure(count == 0, what, || format!("manage was started again {count} times"))?;
        web.is_unhurt(what)?;
    }
    pages.end()
}

/// A client that fetches the page all the time.
struct Pages<'m> {
    machine: &'m Machine<'m>,
    stream: Stream,
}

impl<'m> Pages<'m> {
    const CODES: &'static str = "/tmp/pages";

    fn fetch(machine: &'m Machine<'m>, web: &Guest<'_>) -> Outcome<Self> {
        let command = format!(
            "rm -f {codes}; while :; do curl -s -o /dev/null -m 5 -w '%{{http_code}}\\n' {url} >>{codes}; sleep 0.1; done",
            codes = Self::CODES,
            url = web.url("/")?
        );
        let stream = machine.dom0().follow(&command).step("a client that fetches the page")?;
        Ok(Self { machine, stream })
    }

    /// Every answer was the page.
    fn end(self) -> Outcome {
        drop(self.stream);
        let step = "the page, fetched all the time";
        let count = format!("sort {} | uniq -c", Self::CODES);
        let codes = self.machine.run(step, &count, ASK)?;
        let words: Vec<&str> = codes.split_whitespace().collect();
        let is_good = matches!(words.as_slice(), [count, "200"] if count.parse::<u32>().is_ok_and(|count| count > 20));
        ensure(is_good, step, || format!("codes: {}", words.join(" ")))
    }
}
