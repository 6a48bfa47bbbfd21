//! Looks for leaks: `role=stain` fills every register with a pattern, traps, and spins until it is preempted; `role=look`
//! traps and checks that nothing but what the trap returns is left in any register, vector registers included, and that its
//! own vector registers survive being preempted.
//!
//! `canary: clean, N traps` means that no stain was seen. Like `rogue` it needs unsafe code, and is never in a product.
#![cfg_attr(xylem_user, no_std, no_main)]

mod registers;

ipc::wiring! {
    needs { log: ipc::log, status: ipc::status }
    stack 16;
    heap 16;
}

/// Tells whoever waits for the end of the looking.
fn ready() {
    let _ = ipc::supervisor::Client::new(rt::Trap, abi::Handle::SUPERVISOR).ready();
}

fn look() -> ! {
    use abi::Traps;
    let rounds =
        rt::start().config("rounds").and_then(|value| value.parse().ok()).unwrap_or(2_000u32);
    let (mut stains, mut lost) = (0u32, 0u32);
    for round in 0..rounds {
        // A notification returns 0 in rax and nothing else; a call that fails returns a status and zeros.
        let rax = if round % 2 == 0 { 3 | 1 << 8 } else { 2 };
        let left = registers::trap(rax);
        stains += left.iter().filter(|&&value| value != 0).count() as u32;
        if round % 64 == 0 {
            lost +=
                u32::from(!registers::survive(0x5a5a_0000_0000_0000 | u64::from(round), 200_000));
        }
    }
    if stains == 0 && lost == 0 {
        rt::log!("canary: clean, {rounds} traps");
    } else {
        rt::log!("canary: {stains} stains seen, {lost} own registers lost");
    }
    ready();
    loop {
        rt::Trap.reply_wait(None);
    }
}

fn run() -> ! {
    if rt::start().config("role") == Some("look") {
        look()
    }
    ready();
    loop {
        registers::stain(3 | 1 << 8);
        registers::survive(0xbad0_bad0_bad0_bad0, 20_000);
    }
}

rt::main!(run);
