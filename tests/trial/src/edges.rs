//! Addresses at and beyond the edges, and regions that are sealed.

use abi::fault::FaultKind;
use abi::kernel::control::{Access, Error, SUPERVISOR_SERVER};
use abi::layout::{PAGE, SHARED, STACK_END, USER_END};
use abi::token::Kind;
use abi::{CallError, Traps, Word};
use shared::Memory;

use crate::roles::{CAME_BACK, raw, wild as wild_role};
use crate::servers::{Server, answer, control, kill, map, must, next, region};
use crate::{Verdict, only};

/// Where the supervisor has a page of code to be.
const CODE: u64 = SHARED + 16 * PAGE;

/// Threads start in user space alone; at odd addresses they may; the last instruction of all may be a trap.
pub fn addresses(board: u16) -> Verdict {
    let server = Server::new(87, 10, None, board);
    let start = |rip, rsp| control().thread_start(server.number, rip, rsp, 0);
    let refused = Err(CallError::Refused(Error::Address));
    for (rip, rsp) in [
        (USER_END, STACK_END),
        (1 << 47, STACK_END),
        (0x8000_0000_0000_0000, STACK_END),
        (0xffff_ffff_8020_0000, STACK_END),
        (u64::MAX, STACK_END),
        (0x40_0000, USER_END + 1),
        (0x40_0000, 0xffff_ffff_8020_0000),
        (0x40_0000, 0x8000_0000_0000_0000),
    ] {
        only(start(rip, rsp) == refused, "it starts where it must not")?;
    }
    // An odd stack and an odd place: the one is used by nobody, at the other nothing is mapped.
    only(
        start(raw as extern "C" fn(u64) -> ! as usize as u64, 0x1fff_fff1).is_ok(),
        "an odd stack",
    )?;
    let event = next();
    only(event.token.kind() == Kind::Fault, "a call of its own with no label")?;
    kill(event.token);
    must(start(0x6fff_ffff_fff1, 1), "an odd place");
    let event = next();
    let [_, address, ..] = event.message.words;
    only(event.message.label == FaultKind::Page.to_word(), "another fault")?;
    only(address == 0x6fff_ffff_fff1, "another address")?;
    kill(event.token);
    last_instruction(&server)?;
    server.destroy();
    Ok(())
}

/// `syscall` as the last instruction below the end of user space: the trap is made, and behind it nothing is mapped.
fn last_instruction(server: &Server) -> Verdict {
    let code = region(1);
    map(SUPERVISOR_SERVER, code, CODE, (0, 1), Access::Write);
    let page: Memory = rt::shared(CODE, 1);
    // mov eax, 3 << 8 | 3; syscall: notifies through an empty handle, which does nothing.
    page.copy_to(PAGE as usize - 7, &[0xb8, 0x03, 0x03, 0, 0, 0x0f, 0x05]);
    must(control().unmap(SUPERVISOR_SERVER, CODE, 1), "an end of a mapping");
    must(control().region_seal(code), "a seal");
    map(server.number, code, USER_END - PAGE, (0, 1), Access::Execute);
    must(control().thread_start(server.number, USER_END - 7, STACK_END, 0), "a start");
    let event = next();
    let [_, address, rip, ..] = event.message.words;
    if (address, rip) != (USER_END, USER_END) {
        crate::tell(format_args!("trial: address {address:#x}, rip {rip:#x}"));
    }
    only(
        event.message.label == FaultKind::Page.to_word(),
        "another fault than of the page behind",
    )?;
    only((address, rip) == (USER_END, USER_END), "another address than the one behind")?;
    kill(event.token);
    Ok(())
}

/// Traps with a stack pointer into the kernel, of zero, and that is no address, while the timer rings again and again.
pub fn wild(board: u16) -> Verdict {
    let server = Server::new(88, 10, None, board);
    for rsp in [0xffff_ffff_8020_0000, 0, 0x8000_0000_0000_0000, 1 << 47, u64::MAX] {
        server.start(wild_role, rsp);
        let mut rings = 0;
        let event = loop {
            rt::timer(rt::clock::now() + 5_000_000);
            let event = rt::Trap.reply_wait(None);
            if event.token.kind() != Kind::None {
                break event;
            }
            rings += 1;
        };
        rt::timer(0);
        only(event.token.kind() == Kind::Call, "it faulted")?;
        only(event.message.label == CAME_BACK, "it did not come back")?;
        only(event.message.words[0] == rsp, "another stack pointer came back")?;
        only(rings > 5, "too few events came")?;
        answer(event.token, 0);
    }
    server.destroy();
    Ok(())
}

/// What is mapped for writing is not sealed; what is sealed is not mapped for writing; what is not sealed is not executed.
pub fn seals(_: u16) -> Verdict {
    let code = region(1);
    let at = |access: Access| 1 | (access.to_word() as u32) << 16;
    let mapped = |access| control().map(SUPERVISOR_SERVER, code, CODE, 0, at(access));
    only(mapped(Access::Execute).is_err(), "code that is not sealed was mapped")?;
    must(mapped(Access::Write), "a mapping");
    only(control().region_seal(code).is_err(), "it was sealed while it could be written")?;
    must(control().unmap(SUPERVISOR_SERVER, CODE, 1), "an end of a mapping");
    must(control().region_seal(code), "a seal");
    only(mapped(Access::Write).is_err(), "what is sealed was mapped for writing")?;
    must(mapped(Access::Execute), "a mapping of code");
    must(control().unmap(SUPERVISOR_SERVER, CODE, 1), "an end of a mapping");
    Ok(())
}
