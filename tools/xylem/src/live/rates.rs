//! What servers use per second: the difference of two snapshots.
//!
//! Invariant: pure. A server that was started between the two has no rate.

use ipc::status::{SlotStatus, Snapshot};

/// What a server uses.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Rate {
    /// Of a processor, in per cent.
    pub cpu: f64,
    /// Calls that it made, each second.
    pub calls: f64,
    /// Calls that it took, each second.
    pub served: f64,
}

/// The rates of all servers, in their order.
pub fn rates(before: &Snapshot, after: &Snapshot) -> Vec<Rate> {
    let seconds = after.uptime.saturating_sub(before.uptime) as f64 / 1e9;
    let rate = |(at, server): (usize, &SlotStatus)| {
        let old = before.servers.get(at).filter(|old| old.restarts == server.restarts);
        old.map_or_else(Rate::default, |old| between(old, server, seconds))
    };
    after.servers.iter().enumerate().map(rate).collect()
}

fn between(old: &SlotStatus, new: &SlotStatus, seconds: f64) -> Rate {
    let each = |old: u64, new: u64| {
        if seconds > 0.0 { new.saturating_sub(old) as f64 / seconds } else { 0.0 }
    };
    Rate {
        cpu: each(old.cpu, new.cpu) / 1e7,
        calls: each(old.calls, new.calls),
        served: each(old.served, new.served),
    }
}

#[cfg(test)]
pub mod tests {
    use super::{Rate, rates};
    use ipc::status::{SlotStatus, Snapshot, State};

    /// A server that used so much CPU time and made so many calls.
    pub fn server(name: &str, cpu: u64, calls: u64) -> SlotStatus {
        SlotStatus {
            name: name.into(),
            state: State::Waiting,
            priority: 60,
            restarts: 0,
            pages: 256,
            cpu,
            calls,
            served: 2 * calls,
            paid: 0,
            granted: 0,
            age: 5_000_000_000,
            vcpu: 0,
            image: name.into(),
            version: "v1".into(),
            build: [1, 2, 3, 0xff],
            held: Default::default(),
        }
    }

    /// A system that ran so many nanoseconds.
    pub fn snapshot(uptime: u64, servers: Vec<SlotStatus>) -> Snapshot {
        Snapshot {
            system: "web".into(),
            uptime,
            entry: 0,
            xen: (4, 20),
            domain: 7,
            vcpus: 1,
            memory: 4096,
            free: 1024,
            kernel: 200,
            upcalls: 3,
            servers,
            lock: Default::default(),
            flushes: 0,
        }
    }

    #[test]
    fn rates_are_per_second() {
        let before = snapshot(1_000_000_000, vec![server("a", 0, 10), server("b", 5, 5)]);
        let mut after =
            snapshot(3_000_000_000, vec![server("a", 1_000_000_000, 30), server("b", 9, 9)]);
        after.servers[1].restarts = 1;
        let found = rates(&before, &after);
        assert_eq!(found[0], Rate { cpu: 50.0, calls: 10.0, served: 20.0 });
        assert_eq!(found[1], Rate::default());
        assert_eq!(rates(&after, &after)[0], Rate::default());
    }
}
