//! What a domain says of itself: `/status.json` of Xylem, `/cgi-bin/status` of the Linux guest.
//!
//! Invariant: pure; what is not there makes the reading fail.

use serde::Deserialize;

/// `/status.json` of the web system.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Status {
    /// Nanoseconds since the kernel's entry.
    pub uptime_ns: u64,
    /// Memory of the domain.
    pub memory_bytes: u64,
    /// What of it is free.
    pub free_bytes: u64,
    /// What the kernel has.
    pub kernel_bytes: u64,
    /// The servers.
    pub servers: Vec<Server>,
}

/// One server.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Server {
    /// The name of its slot.
    pub name: String,
    /// Its memory.
    pub memory_bytes: u64,
}

/// `/cgi-bin/status` of the Linux guest.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct LinuxStatus {
    /// The kernel's release: `6.12.57+deb13-amd64`.
    pub kernel: String,
    /// Memory that was left to it after the kernel took its own.
    pub total_kb: u64,
    /// Memory that programs could still have.
    pub available_kb: u64,
}

impl LinuxStatus {
    /// Its name in tables: the release without what its distribution added.
    pub fn title(&self) -> String {
        let release = self.kernel.split(['+', '-']).next().unwrap_or_default();
        let short: Vec<&str> = release.split('.').take(2).collect();
        format!("Linux {} PVH", short.join("."))
    }

    /// Bytes that are not available, of those that the domain has.
    pub fn used(&self, domain_bytes: u64) -> u64 {
        domain_bytes.saturating_sub(self.available_kb * 1024)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_of_the_system_is_read() {
        let text = r#"{"system":"web","uptime_ns":512000000,"xen":"4.20","domain":3,"vcpus":1,"memory_bytes":16777216,
            "free_bytes":8388608,"kernel_bytes":262144,"servers":[{"name":"net","state":"waiting","priority":120,
            "memory_bytes":4096,"cpu_ns":7,"calls":1,"served":2,"restarts":0}]}"#;
        let status: Status = serde_json::from_str(text).unwrap();
        assert_eq!((status.uptime_ns, status.kernel_bytes), (512_000_000, 262_144));
        assert_eq!(status.servers, [Server { name: "net".into(), memory_bytes: 4096 }]);
    }

    #[test]
    fn the_rival_is_called_by_its_version() {
        let text = r#"{"kernel":"6.12.117+deb13-amd64","total_kb":88892,"available_kb":58380}"#;
        let status: LinuxStatus = serde_json::from_str(text).unwrap();
        assert_eq!(status.title(), "Linux 6.12 PVH");
        assert_eq!(status.used(128 << 20), (128 << 20) - 58380 * 1024);
    }
}
