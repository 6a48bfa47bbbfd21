//! The supervisor breaks a rule while all vCPUs are busy, in the kernel and out of it: the domain ends, told once.

use crate::roles::Role;
use crate::stage::{MS, Stage, sleep};

/// Plays it.
pub fn play(stage: &Stage) {
    for vcpu in 0..stage.vcpus {
        let (server, client) = (1 + 2 * vcpu, 2 + 2 * vcpu);
        stage.player(server, 40, vcpu, 0, 0).start(Role::Echo);
        stage.player(client, 10, vcpu + 1, server, 0).start(Role::Caller);
    }
    sleep(300 * MS);
    rt::exit(7)
}
