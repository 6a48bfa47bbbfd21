//! The command lines of QEMU.
//!
//! Invariant: pure. All files are named relative to the run folder, which is QEMU's working folder while it starts, so
//! spaces and commas in the cache's path do no harm and the line is the same for every instance but for one port.

use crate::packages::Toolstack;

/// The machine that QEMU plays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Memory in MiB.
    pub memory: u32,
    /// Processors.
    pub cpus: u32,
    /// QEMU's `-cpu`.
    pub cpu: String,
    /// QEMU's `-accel`.
    pub accel: String,
    /// Whether time is the number of instructions: one a nanosecond, and none passes while all wait.
    pub counts: bool,
    /// Addresses of which each instruction that is executed is written to the run's file `trace`.
    pub traced: Option<std::ops::Range<u64>>,
}

/// The file of a run with the addresses of executed instructions, one a line.
pub const TRACE: &str = "trace";

impl Machine {
    /// The machine with a Linux dom0.
    ///
    /// `thread=single`: with one thread a processor, two busy programs beside it make everything 5 to 10 times slower.
    pub fn dom0() -> Self {
        let accel = variable("XYLEM_ACCEL").unwrap_or_else(|| "tcg,thread=single".into());
        let cpu = variable("XYLEM_CPU").unwrap_or_else(|| Toolstack::chosen().cpu.into());
        Self { memory: 1536, cpus: 2, cpu, accel, counts: false, traced: None }
    }

    /// The machine where our kernel itself is dom0.
    pub fn direct() -> Self {
        Self { memory: 512, ..Self::dom0() }
    }

    /// The same, with instructions for time. QEMU then cannot read a clock behind an MSR, so the local APIC is not of that
    /// kind; and the time-stamp counter is announced as one that Xen need not emulate, which it then is.
    #[must_use]
    pub fn counting(self) -> Self {
        let cpu = format!("{},-x2apic,-tsc-deadline,+invtsc,x-force-features=on", self.cpu);
        Self { cpus: 1, cpu, counts: true, ..self }
    }

    /// The same, for a domain of so many vCPUs: a processor for each, and each with a thread of its own, or no two would ever
    /// run at once. A machine that counts instructions stays as it is.
    #[must_use]
    pub fn for_vcpus(self, vcpus: u32) -> Self {
        if self.counts || vcpus < 2 {
            return self;
        }
        let accel = self.accel.replace("thread=single", "thread=multi");
        Self { cpus: self.cpus.max(vcpus), accel, ..self }
    }

    /// The same, with every instruction of a range of addresses written down.
    #[must_use]
    pub fn tracing(self, range: std::ops::Range<u64>) -> Self {
        Self { accel: format!("{},one-insn-per-tb=on", self.accel), traced: Some(range), ..self }
    }

    fn options(&self, machine: &str) -> Vec<String> {
        let line = format!(
            "-M {machine} -accel {} -cpu {} -smp {} -m {} -display none -vga none -nodefaults -no-reboot -kernel xen",
            self.accel, self.cpu, self.cpus, self.memory
        );
        let count = if self.counts { " -icount shift=0,sleep=off" } else { "" };
        let trace = self.traced.as_ref().map_or(String::new(), |range| {
            format!(" -d exec,nochain -dfilter {:#x}..{:#x} -D {TRACE}", range.start, range.end - 1)
        });
        words(&format!("{line}{count}{trace}"))
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Where the memory of the machine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    /// In the file `ram`, which a snapshot can keep.
    Saved,
    /// Read from the file `ram`; what is written stays in QEMU.
    Private,
}

/// The memory of dom0 in MiB.
const DOM0: u32 = 512;

/// dom0 has one processor and stays on it: both of the machine's share one thread of the host, and a dom0 with two
/// waits for itself on every flush of a TLB.
const DOM0_CPUS: &str = "dom0_max_vcpus=1 dom0_vcpus_pin";

/// Xen with a Linux dom0; `port` of 127.0.0.1 leads to the channel in dom0.
pub fn dom0(machine: &Machine, memory: Memory, port: u16) -> Vec<String> {
    let share = if memory == Memory::Saved { "on" } else { "off" };
    let mut line = machine.options("pc,memory-backend=ram");
    line.extend(words(&format!(
        "-name xylem-rig -daemonize -pidfile pid -serial file:xen.log -qmp unix:monitor,server=on,wait=off \
         -object memory-backend-file,id=ram,size={}M,mem-path=ram,share={share} \
         -drive file=root,if=none,id=root,format=raw,readonly=on -device virtio-blk-pci,drive=root \
         -netdev user,id=ctl,net=10.0.2.0/24,restrict=on,hostfwd=tcp:127.0.0.1:{port}-10.0.2.15:1024 \
         -device virtio-net-pci,netdev=ctl,romfile= \
         -netdev user,id=dat,net=10.0.3.0/24,dhcpstart=10.0.3.15,restrict=on \
         -device virtio-net-pci,netdev=dat,romfile= -device virtio-rng-pci",
        machine.memory
    )));
    line.push("-append".into());
    line.push(format!(
        "com1=115200,8n1 console=com1 loglvl=warning guest_loglvl=all dom0_mem={DOM0}M,max:{DOM0}M {DOM0_CPUS}"
    ));
    line.push("-initrd".into());
    line.push("linux console=hvc0 rdinit=/init quiet panic=1,initramfs".into());
    if memory == Memory::Private {
        line.extend(words("-incoming defer"));
    }
    line
}

/// Xen with our kernel (the file `kernel`) as PVH dom0, and the file `image` as its module where there is one.
pub fn direct(machine: &Machine, xen: &str, arguments: &str, image: bool) -> Vec<String> {
    let mut line = machine.options("pc");
    line.extend(words("-name xylem-direct -nic none -serial stdio -monitor none"));
    line.push("-append".into());
    // loglvl=all: with less, Xen does not say that dom0 halted.
    let fixed = "loglvl=all guest_loglvl=all com1=115200,8n1 console=com1 dom0=pvh dom0-iommu=none";
    line.push(format!("{fixed} {xen}").trim_end().to_owned());
    line.push("-initrd".into());
    let modules = format!("kernel {}", doubled(arguments));
    line.push(format!("{}{}", modules.trim_end(), if image { ",image" } else { "" }));
    line
}

/// A comma ends an option of QEMU; two stand for one.
fn doubled(text: &str) -> String {
    text.replace(',', ",,")
}

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Machine {
        Machine {
            memory: 512,
            cpus: 2,
            cpu: "max,-xsave".into(),
            accel: "tcg,thread=single".into(),
            counts: false,
            traced: None,
        }
    }

    fn value<'a>(line: &'a [String], option: &str) -> &'a str {
        let at = line.iter().position(|word| word == option).unwrap();
        &line[at + 1]
    }

    #[test]
    fn vcpus_run_at_once_where_there_are_several() {
        assert_eq!(machine().for_vcpus(1), machine());
        let four = machine().for_vcpus(4);
        assert_eq!((four.cpus, four.accel.as_str()), (4, "tcg,thread=multi"));
        assert_eq!(machine().counting().for_vcpus(4), machine().counting());
    }

    #[test]
    fn a_resumed_machine_differs_in_sharing_and_incoming_alone() {
        let (cold, warm) =
            (dom0(&machine(), Memory::Saved, 1), dom0(&machine(), Memory::Private, 1));
        let (extra, same) = (&warm[cold.len()..], &warm[..cold.len()]);
        assert_eq!(extra, ["-incoming", "defer"]);
        let differ: Vec<_> = cold.iter().zip(same).filter(|(one, two)| one != two).collect();
        assert_eq!(differ.len(), 1);
        assert_eq!(differ[0].1.replace("share=off", "share=on"), *differ[0].0);
    }

    #[test]
    fn commas_in_arguments_reach_the_kernel() {
        let line = direct(&machine(), "", "ip=10.0.3.15,10.0.3.2 x", true);
        assert_eq!(value(&line, "-initrd"), "kernel ip=10.0.3.15,,10.0.3.2 x,image");
        assert_eq!(value(&direct(&machine(), "sched=null", "", false), "-initrd"), "kernel");
        assert!(
            value(&direct(&machine(), "sched=null", "", false), "-append")
                .ends_with("dom0-iommu=none sched=null")
        );
    }

    #[test]
    fn only_the_loopback_address_of_the_host_listens() {
        let line = dom0(&machine(), Memory::Saved, 4711).join(" ");
        assert!(line.contains("hostfwd=tcp:127.0.0.1:4711-10.0.2.15:1024"));
        assert_eq!(line.matches("hostfwd").count(), 1);
        assert_eq!(line.matches("restrict=on").count(), 2);
    }
}
