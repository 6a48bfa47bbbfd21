//! What a snapshot of a booted dom0 was made with, and whether it fits here.
//!
//! Invariant: pure but for [`Print::now`]. A snapshot is tied to the very QEMU, command line and processor it was made
//! on, and to the rate of the processor's time stamp counter, which is built into the guest's idea of time.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::command::{self, Machine, Memory};
use crate::tree::Tree;
use crate::{Cache, Result, hash, setup_stamp};

/// All that has to agree.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Print {
    /// The hash of QEMU's program.
    qemu: String,
    /// The stamp of the image that was booted.
    image: String,
    /// The hash of QEMU's command line.
    line: String,
    /// The processor, by its description and its features.
    processor: String,
    /// The rate of the time stamp counter, in the unit of /proc/cpuinfo's bogomips.
    rate: f64,
}

impl Print {
    /// What a snapshot made now would carry.
    ///
    /// # Errors
    /// When QEMU is not there.
    pub fn now(cache: &Cache, machine: &Machine) -> Result<Self> {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        Ok(Self {
            qemu: hash::of_file(&Tree::at(cache.tree()).qemu_program())?,
            image: setup_stamp(),
            line: hash::of_parts(command::dom0(machine, Memory::Saved, 0)),
            processor: processor(&cpuinfo),
            rate: rate(&cpuinfo),
        })
    }

    /// Why a snapshot with this print cannot be used where `now` is the print, if it cannot.
    pub fn misfit(&self, now: &Self) -> Option<&'static str> {
        let same_rate = (self.rate - now.rate).abs() <= now.rate * 0.002;
        let checks = [
            (self.image == now.image, "it is of another image"),
            (self.qemu == now.qemu, "it is of another QEMU"),
            (self.line == now.line, "QEMU is started in another way now"),
            (self.processor == now.processor, "it is of another processor"),
            (same_rate, "the processor's clock has another rate now"),
        ];
        checks.into_iter().find(|(same, _)| !same).map(|(_, reason)| reason)
    }

    /// The print of a stored snapshot.
    pub fn of(folder: &Path) -> Option<Self> {
        let whole = folder.join("state").exists() && folder.join("ram").exists();
        whole.then(|| serde_json::from_str(&crate::cache::stamp(folder)?).ok())?
    }

    /// The text to stamp a snapshot with.
    pub fn to_stamp(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

fn field<'a>(cpuinfo: &'a str, name: &str) -> &'a str {
    let found =
        cpuinfo.lines().filter_map(|line| line.split_once(':')).find(|(key, _)| key.trim() == name);
    found.map_or("", |(_, value)| value.trim())
}

fn processor(cpuinfo: &str) -> String {
    hash::of_parts(
        ["vendor_id", "cpu family", "model", "model name", "stepping", "flags"]
            .map(|name| field(cpuinfo, name)),
    )
}

fn rate(cpuinfo: &str) -> f64 {
    field(cpuinfo, "bogomips").parse().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: &str = "processor\t: 0\nmodel name\t: Some CPU @ 2.20GHz\nflags\t\t: fpu svm\nbogomips\t: 4400.00\n\n\
                        processor\t: 1\nmodel name\t: Some CPU @ 2.20GHz\nbogomips\t: 1.00\n";

    fn print() -> Print {
        let [qemu, image, line] = ["q", "i", "l"].map(str::to_owned);
        Print { qemu, image, line, processor: processor(INFO), rate: rate(INFO) }
    }

    #[test]
    fn the_first_processor_is_read() {
        assert_eq!(rate(INFO), 4400.0);
        assert_eq!(field(INFO, "model name"), "Some CPU @ 2.20GHz");
        assert_ne!(processor(INFO), processor(&INFO.replace("svm", "vmx")));
    }

    #[test]
    fn the_same_machine_fits_within_the_noise_of_calibration() {
        assert_eq!(print().misfit(&print()), None);
        assert_eq!(print().misfit(&Print { rate: 4404.0, ..print() }), None);
    }

    #[test]
    fn each_difference_is_named() {
        let other = || "other".to_owned();
        let cases = [
            (Print { qemu: other(), ..print() }, "QEMU"),
            (Print { image: other(), ..print() }, "image"),
            (Print { line: other(), ..print() }, "started"),
            (Print { processor: other(), ..print() }, "processor"),
            (Print { rate: 4500.0, ..print() }, "rate"),
        ];
        for (now, word) in cases {
            assert!(print().misfit(&now).unwrap().contains(word));
        }
    }

    #[test]
    fn a_stamp_is_read_back_and_half_a_snapshot_is_none() {
        let folder = std::env::temp_dir().join(format!("rig-print-{}", std::process::id()));
        crate::cache::fresh(&folder).unwrap();
        fs::write(folder.join("stamp"), print().to_stamp()).unwrap();
        fs::write(folder.join("state"), "").unwrap();
        assert_eq!(Print::of(&folder), None);
        fs::write(folder.join("ram"), "").unwrap();
        assert_eq!(Print::of(&folder), Some(print()));
        crate::cache::remove(&folder).unwrap();
    }
}
