//! Walks through more memory than its pager has frames, again and again, and compares: `walker: 4096 pages are as they were
//! written, in 3 passes`.
//!
//! Roles: `walk` reads the image, writes to some of its pages, fills all the rest with words that follow from place and pass,
//! and reads them back; it tells how much was in memory at most, by the kernel's count, and ends the domain. `look` reads
//! the image until then: what others write to it must not be seen. `fall` touches what it has not.
#![cfg_attr(xylem_user, no_std, no_main)]
#![forbid(unsafe_code)]

use abi::Traps;
use abi::kernel::control::Shutdown;
use abi::trap::BIT_TIMER;
use ipc::status::Snapshot;
use shared::{Memory, PAGE};

ipc::wiring! {
    needs { log: ipc::log, status: ipc::status optional, operator: ipc::operator optional }
    stack 16;
    heap 64;
}

/// What a word of the image is divided by its place.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
/// Words of a page.
const WORDS: usize = PAGE / 8;

fn number(key: &str) -> u32 {
    rt::start().config(key).and_then(|value| value.parse().ok()).unwrap_or(0)
}

/// The word at a place in a pass (a step of SplitMix64).
const fn word(place: usize, pass: u32) -> u64 {
    let mut z = (place as u64 ^ (pass as u64) << 40).wrapping_add(1).wrapping_mul(STEP);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn sleep(nanoseconds: u64) {
    rt::timer(rt::clock::now() + nanoseconds);
    while rt::Trap.reply_wait(None).bits & BIT_TIMER == 0 {}
}

/// Words of the image that are not as they were made.
fn wrong_in_image(memory: Memory, image: usize, skip: impl Fn(usize) -> bool) -> usize {
    let places = (0..image * WORDS).filter(|place| !skip(*place));
    places.filter(|at| memory.read::<u64>(at * 8) != (*at as u64).wrapping_mul(STEP)).count()
}

/// Pages mapped in this server, and frames that the pager's slot holds and may hold, by the kernel's count.
fn counted() -> (u64, u32, u32) {
    let client = ipc::status::Client::new(rt::Trap, wiring::status.handle);
    let length = client.snapshot().unwrap_or(0);
    let snapshot = Snapshot::read(rt::need(wiring::status).down, length);
    let servers = snapshot.map(|snapshot| snapshot.servers).unwrap_or_default();
    let name = rt::start().name;
    let of = |name: &str| servers.iter().find(|server| server.name == name);
    let pages = of(name).map_or(u64::MAX, |server| server.pages);
    let (held, limit) = of("pager").map_or((u32::MAX, 0), |server| server.held[0]);
    (pages, held, limit)
}

/// The most that was counted.
#[derive(Default)]
struct Most {
    pages: u64,
    held: u32,
}

impl Most {
    fn look(&mut self) {
        let (pages, held, _) = counted();
        *self = Self { pages: self.pages.max(pages), held: self.held.max(held) };
    }
}

fn walk(memory: Memory, pages: usize, image: usize) {
    let passes = number("passes");
    let (before, ..) = counted();
    let mut most = Most::default();
    let mut wrong = wrong_in_image(memory, image, |_| false);
    // One word of every other page of the image.
    let own = |place: usize| place % (2 * WORDS) == 7;
    (0..image * WORDS)
        .filter(|place| own(*place))
        .for_each(|at| memory.write(at * 8, &word(at, 0)));
    wrong += wrong_in_image(memory, image, own);
    for pass in 1..=passes {
        for page in image..pages {
            for at in page * WORDS..(page + 1) * WORDS {
                memory.write(at * 8, &word(at, pass));
            }
            if page % 256 == 0 {
                most.look();
            }
        }
        for page in image..pages {
            let places = page * WORDS..(page + 1) * WORDS;
            wrong += places.filter(|at| memory.read::<u64>(at * 8) != word(*at, pass)).count();
        }
        most.look();
    }
    wrong += wrong_in_image(memory, image, own);
    wrong += (0..image * WORDS)
        .filter(|place| own(*place) && memory.read::<u64>(place * 8) != word(*place, 0))
        .count();
    let (.., limit) = counted();
    let there = most.pages - before;
    if wrong == 0 {
        rt::log!("walker: {pages} pages are as they were written, in {passes} passes");
    } else {
        rt::log!("walker: {wrong} words are wrong");
    }
    let frames = u64::from(number("frames"));
    rt::log!("walker: at most {there} pages were mapped; the pager held {} of {limit}", most.held);
    if there <= frames && most.held <= limit {
        rt::log!("walker: never more than {frames} of them in memory");
    }
}

fn look(memory: Memory, image: usize) -> ! {
    let mut told = false;
    loop {
        let wrong = wrong_in_image(memory, image, |_| false);
        if wrong != 0 || !told {
            rt::log!("walker: the image has {wrong} words that are not its own");
            told = true;
        }
        sleep(50_000_000);
    }
}

fn run() -> ! {
    let (pages, image) = (number("space"), number("image") as usize);
    let memory = rt::filled(0, pages);
    match rt::start().config("role") {
        Some("look") => look(memory, image),
        Some("fall") => {
            rt::log!("walker: falls");
            let past: u64 = rt::filled(pages, 1).read(0);
            rt::log!("walker: {past} was read where nothing is");
        }
        _ => walk(memory, pages as usize, image),
    }
    sleep(300_000_000);
    let operator = ipc::operator::Client::new(rt::Trap, wiring::operator.handle);
    let _ = operator.shutdown(Shutdown::Poweroff);
    loop {
        rt::Trap.reply_wait(None);
    }
}

rt::main!(run);
