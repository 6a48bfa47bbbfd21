//! What the core asks for, done.
//!
//! Every index that the core hands over is looked up and not trusted: an index without an object does nothing. What the
//! core must see to itself, because only it can: that a page is in the hands of one owner, and what it may be mapped as.

use abi::kernel::control::{Access, PortKind, Shutdown};
use abi::layout::PAGE;

use super::debug::Debug;
use super::frame::ThreadFrame;
use super::layout::WINDOWS;
use super::lock::Contention;
use super::paging::KernelTables;
use super::pool::TablePages;
use super::space::Space;
use super::vcpu::Vcpu as ThisVcpu;
use super::xen::grants::Grants;
use super::xen::{self, channels, clock};
use super::{entry, panic, timer};
use crate::core::hardware::{Frame, Hardware, Refused, TablesExhausted, Vcpu};

/// What does not change while the domain runs.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// Xen's version: major in the upper half of 32 bits, minor in the lower.
    pub version: u32,
    /// Number of this domain.
    pub domain: u32,
    /// vCPUs of the domain.
    pub vcpus: u64,
    /// Those that run.
    pub vcpus_used: u16,
    /// Pages of memory of the domain.
    pub pages: u64,
    /// Pages that the kernel keeps for itself.
    pub kernel_pages: u64,
    /// System time at which the kernel read the clock first.
    pub started: u64,
    /// Event channel of the XenStore ring, 0 if there is none.
    pub store_channel: u32,
    /// Event channel of the console, 0 if there is none.
    pub console_channel: u32,
}

/// The machine as the core sees it.
#[derive(Debug)]
pub struct Machine {
    /// Pages for tables and region indexes.
    pub tables: TablePages,
    /// The kernel's half of every space.
    pub kernel: KernelTables,
    /// Physical addresses of the pool.
    pub pool: ::core::ops::Range<u64>,
    /// The space of each server.
    pub spaces: &'static mut [Option<Space>],
    /// The full frame of each thread.
    pub frames: &'static mut [ThreadFrame],
    /// The grant table.
    pub grants: Grants,
    /// What does not change.
    pub facts: Facts,
    /// Something was unmapped that another vCPU may still have in its translation buffer.
    pub stale: bool,
    /// How often all translation buffers were emptied.
    pub flushes: u64,
    /// The lock's, when the kernel was entered.
    pub contention: Contention,
}

impl Machine {
    /// The space of a server.
    pub fn space(&self, server: u16) -> Option<Space> {
        *self.spaces.get(usize::from(server))?
    }

    /// Where a thread's full frame is.
    pub fn frame(&mut self, thread: u16) -> Option<&mut ThreadFrame> {
        self.frames.get_mut(usize::from(thread))
    }

    /// Whether a vCPU other than the current one runs a server.
    fn is_loaded_elsewhere(&self, server: u16) -> bool {
        let here = ThisVcpu::current().index();
        let runs = |vcpu: &ThisVcpu| vcpu.index() != here && vcpu.quick.thread() == Some(server);
        ThisVcpu::first(self.facts.vcpus_used).any(runs)
    }

    #[cold]
    #[inline(never)]
    fn flush(&mut self) {
        self.stale = false;
        self.flushes += 1;
        if let Err(error) = xen::flush_all() {
            panic::stop(format_args!("Xen does not flush: error {}", error.0), None);
        }
    }

    /// The words of an index page; `None` for what is no page of the pool.
    fn index_word(&self, page: u32, entry: u16) -> Option<*mut u32> {
        let at = u64::from(page) * PAGE;
        let there = self.pool.contains(&at) && u64::from(entry) < PAGE / 4;
        there.then(|| (self.tables.view().address(at) + u64::from(entry) * 4) as *mut u32)
    }
}

impl Hardware for Machine {
    fn now(&mut self) -> u64 {
        clock::now()
    }

    fn stolen(&mut self, vcpu: Vcpu) -> u64 {
        let current = ThisVcpu::current();
        clock::stolen(if current.number() == vcpu { current } else { other(vcpu) })
    }

    fn set_timer(&mut self, deadline: Option<u64>) {
        timer::set(ThisVcpu::current(), deadline);
    }

    fn kick(&mut self, vcpu: Vcpu) {
        channels::wake(other(vcpu));
    }

    fn space_create(&mut self, server: u16) -> Result<u64, TablesExhausted> {
        let place = self.spaces.get_mut(usize::from(server)).ok_or(TablesExhausted)?;
        let space = Space::create(&self.kernel, &mut self.tables)?;
        *place = Some(space);
        Ok(space.top().as_u64())
    }

    fn space_map(
        &mut self,
        server: u16,
        address: u64,
        frame: Frame,
        access: Access,
        tables: u32,
    ) -> Result<(), TablesExhausted> {
        let space = self.space(server).ok_or(TablesExhausted)?;
        if tables > self.tables.free() {
            return Err(TablesExhausted);
        }
        space.map(&mut self.tables, address, frame, access)
    }

    fn space_unmap(&mut self, server: u16, address: u64) -> Option<(Frame, Access)> {
        let found = self.space(server)?.unmap(self.tables.view(), address)?;
        self.stale |= self.facts.vcpus_used > 1 && self.is_loaded_elsewhere(server);
        Some(found)
    }

    fn space_flush(&mut self) {
        if self.stale {
            self.flush();
        }
    }

    fn space_lookup(&mut self, server: u16, address: u64) -> Result<(Frame, Access), u32> {
        let space = self.space(server).ok_or(0_u32)?;
        space.lookup(self.tables.view(), address)
    }

    fn space_next(
        &mut self,
        server: u16,
        address: u64,
    ) -> Result<Option<(u64, Frame, Access)>, u64> {
        self.space(server).map_or(Ok(None), |space| space.next(self.tables.view(), address))
    }

    fn space_shared(&mut self, server: u16, writable: bool) {
        if let Some(space) = self.space(server) {
            space.share(self.tables.view(), writable);
            self.stale |= self.facts.vcpus_used > 1 && self.is_loaded_elsewhere(server);
            self.space_flush();
        }
    }

    fn space_destroy(&mut self, server: u16) -> bool {
        let Some(space) = self.space(server) else { return true };
        let done = space.destroy(&self.kernel, &mut self.tables);
        if done && let Some(place) = self.spaces.get_mut(usize::from(server)) {
            *place = None;
        }
        done
    }

    fn thread_reset(&mut self, thread: u16, rip: u64, rsp: u64, argument: u64) {
        if let Some(frame) = self.frame(thread) {
            *frame = ThreadFrame::start(rip, rsp, argument);
        }
    }

    fn thread_registers(&mut self, thread: u16, set: u8) -> [u64; 5] {
        let Some(frame) = self.frame(thread) else { return [0; 5] };
        let r = &frame.registers;
        match set {
            0 => [r.rip, r.rsp, r.rflags, r.rax, r.rbx],
            1 => [r.rcx, r.rdx, r.rsi, r.rdi, r.rbp],
            2 => [r.r8, r.r9, r.r10, r.r11, r.r12],
            3 => [r.r13, r.r14, r.r15, frame.address, r.error],
            _ => [0; 5],
        }
    }

    fn zero(&mut self, frame: Frame) {
        window(frame, |page| {
            // SAFETY: the window is mapped writable to one page, which the core says is nobody's.
            unsafe { page.write_bytes(0, PAGE as usize) };
        });
    }

    fn copy(&mut self, from: Frame, to: Frame, bytes: u16) {
        let bytes = usize::from(bytes).min(PAGE as usize);
        let mut between = [0u8; PAGE as usize];
        let buffer = between.as_mut_ptr();
        // SAFETY: the window is mapped to a page of the boot image, which nobody writes any more.
        window(from, |page| unsafe { page.copy_to_nonoverlapping(buffer, bytes) });
        // SAFETY: the window is mapped writable to one page, which the core says is nobody's.
        window(to, |page| unsafe { page.copy_from_nonoverlapping(buffer, bytes) });
    }

    fn index_take(&mut self) -> Result<u32, TablesExhausted> {
        self.tables.take().map(|at| (at / PAGE) as u32).ok_or(TablesExhausted)
    }

    fn index_give(&mut self, page: u32) {
        if self.index_word(page, 0).is_some() {
            self.tables.give(u64::from(page) * PAGE);
        }
    }

    fn index_read(&mut self, page: u32, entry: u16) -> u32 {
        // SAFETY: the word is inside the pool, in a page that the core took as an index page.
        self.index_word(page, entry).map_or(0, |word| unsafe { word.read() })
    }

    fn index_write(&mut self, page: u32, entry: u16, value: u32) {
        if let Some(word) = self.index_word(page, entry) {
            // SAFETY: as above.
            unsafe { word.write(value) };
        }
    }

    fn channel_open(&mut self, kind: PortKind, peer: u16) -> Result<u32, Refused> {
        let from_toolstack = |channel: u32| if channel == 0 { Err(Refused) } else { Ok(channel) };
        match kind {
            PortKind::Peer => channels::allocate(peer).map_err(|_| Refused),
            PortKind::Store => from_toolstack(self.facts.store_channel),
            PortKind::Console => from_toolstack(self.facts.console_channel),
        }
    }

    fn channel_close(&mut self, channel: u32) {
        // The toolstack's channels cannot be made again: they only fall silent.
        if [self.facts.store_channel, self.facts.console_channel].contains(&channel) {
            channels::silence(channel);
        } else {
            channels::close(channel);
        }
    }

    fn channel_bind(&mut self, channel: u32, vcpu: Vcpu) {
        channels::bind(channel, vcpu.0);
    }

    fn channel_send(&mut self, channel: u32) {
        channels::send(channel);
    }

    fn channel_unmask(&mut self, channel: u32) {
        channels::unmask(channel);
    }

    fn grant(&mut self, reference: u32, peer: u16, frame: Frame, read_only: bool) {
        self.grants.grant(reference, peer, frame.0, read_only);
    }

    fn ungrant(&mut self, reference: u32) -> bool {
        self.grants.ungrant(reference)
    }

    fn debug(&mut self, bytes: &[u8]) {
        Debug::write(bytes);
    }

    fn shutdown(&mut self, reason: Shutdown) {
        xen::shutdown(reason as u32)
    }

    fn domain_info(&mut self, set: u8) -> [u64; 5] {
        let facts = &self.facts;
        match set {
            0 => [facts.version.into(), facts.domain.into(), facts.vcpus, facts.pages, 0],
            1 => {
                let spurious = entry::upcalls_in_kernel();
                let vcpus = ThisVcpu::first(facts.vcpus_used);
                let upcalls = vcpus.map(|vcpu| vcpu.upcalls.get()).fold(0, u64::wrapping_add);
                [facts.kernel_pages, facts.started, upcalls, spurious, 0]
            }
            2 => {
                let Contention { at_once, spun, yielded } = self.contention;
                [facts.vcpus_used.into(), at_once, spun, yielded, self.flushes]
            }
            _ => [0; 5],
        }
    }
}

/// A vCPU that the core names.
#[cold]
#[inline(never)]
fn other(vcpu: Vcpu) -> &'static ThisVcpu {
    ThisVcpu::at(vcpu.0).unwrap_or(ThisVcpu::current())
}

/// Runs `work` with the address of a page that is mapped for it alone and for that long alone.
pub fn window(frame: Frame, work: impl FnOnce(*mut u8)) {
    const PRESENT_WRITABLE_DATA: u64 = 1 << 63 | 3;
    let vcpu = ThisVcpu::current();
    let entry = vcpu.window.get();
    let address = WINDOWS + u64::from(vcpu.index()) * PAGE;
    // SAFETY: the entry is that of this vCPU's window, in a table of the kernel's half.
    unsafe { entry.write_volatile((u64::from(frame.0) * PAGE) | PRESENT_WRITABLE_DATA) };
    work(address as *mut u8);
    // SAFETY: as above.
    unsafe { entry.write_volatile(0) };
    x86_64::instructions::tlb::flush(x86_64::VirtAddr::new_truncate(address));
}
