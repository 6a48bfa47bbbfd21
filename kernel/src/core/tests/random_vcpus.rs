//! Random operations on two to four vCPUs, each entering the kernel when it likes: the core and the naive model agree after
//! each, and no vCPU has anything to do that it was not told of.

use std::collections::BTreeSet;
use std::vec::Vec;

use proptest::prelude::*;

use super::naive::{Does, Naive};
use super::random_ipc::Pair;
use super::steps::{Step, step};
use crate::core::hardware::Vcpu;

impl Naive {
    /// Goes on with another vCPU.
    fn go_to(&mut self, vcpu: usize) {
        self.others[self.here] = self.current;
        (self.here, self.current) = (vcpu, self.others[vcpu]);
    }

    /// Whether a vCPU that is elsewhere would do something else if it looked: it runs somebody who may not, or less urgent
    /// than somebody who is ready, or as urgent, so that its time is to be limited.
    fn has_to_look(&self, vcpu: usize) -> bool {
        let runs = |thread: &usize| self.threads[*thread].does == Does::Runs;
        let current = self.others[vcpu];
        let priority = current.filter(runs).map(|thread| self.threads[thread].priority);
        let ready = self.ready.iter().filter(|thread| self.threads[**thread].vcpu == vcpu);
        let best = ready.map(|thread| self.threads[*thread].priority).max();
        best.is_some() && best >= priority || current.is_some() && priority.is_none()
    }
}

impl Pair {
    /// Looks at another vCPU.
    fn go_to(&mut self, vcpu: u16) {
        self.nexts[usize::from(self.world.here.0)] = self.world.next;
        self.world.here = Vcpu(vcpu);
        self.world.next = self.nexts[usize::from(vcpu)];
        self.naive.go_to(usize::from(vcpu));
    }

    /// All vCPUs enter the kernel, so whoever was stopped is let go of.
    pub fn let_go(&mut self) {
        let here = self.world.here;
        for vcpu in 0..self.naive.others.len() as u16 {
            self.go_to(vcpu);
            self.world.core.preempted(self.world.here);
            self.naive.interrupted();
            self.settle();
        }
        self.go_to(here.0);
        self.settle();
    }
}

/// A vCPU and what happens there. Time stands still: whose it is, others test.
fn steps() -> impl Strategy<Value = Vec<(u16, Step)>> {
    let timeless = |step: &Step| !matches!(step, Step::Pass { .. } | Step::Limit { .. });
    prop::collection::vec((0..4_u16, step().prop_filter("time", timeless)), 1..300)
}

/// Plays steps; returns how often somebody was told, and how often somebody ran who may not.
fn play(vcpus: u16, steps: &[(u16, Step)]) -> (usize, usize) {
    let mut pair = Pair::on(vcpus);
    let (mut told, mut count, mut stopped) = (BTreeSet::new(), 0, 0);
    for (vcpu, step) in steps {
        let vcpu = vcpu % vcpus;
        told.extend(pair.world.model.kicks.drain(..).map(|vcpu| vcpu.0));
        pair.go_to(vcpu);
        told.remove(&vcpu);
        let others: Vec<u16> = (0..vcpus).filter(|other| *other != vcpu).collect();
        let before: Vec<bool> =
            others.iter().map(|other| pair.naive.has_to_look((*other).into())).collect();
        pair.run(step);
        count += pair.world.model.kicks.len();
        told.extend(pair.world.model.kicks.drain(..).map(|vcpu| vcpu.0));
        told.remove(&vcpu);
        for (other, before) in others.into_iter().zip(before) {
            let must = !before && pair.naive.has_to_look(other.into());
            assert!(!must || told.contains(&other), "vCPU {other} was not told after {step:?}");
        }
        stopped += usize::from(pair.world.core.has_stopped_runner());
    }
    (count, stopped)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_core_and_the_naive_model_agree_on_several_vcpus(vcpus in 2..5_u16, steps in steps()) {
        play(vcpus, &steps);
    }
}

#[test]
fn the_random_steps_cross_vcpus() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut told, mut stopped) = (0, 0);
    for vcpus in [2, 3, 4] {
        for _ in 0..20 {
            let (count, runners) = play(vcpus, &steps().new_tree(&mut runner).unwrap().current());
            (told, stopped) = (told + count, stopped + runners);
        }
    }
    assert!(told > 200 && stopped > 5, "{told} {stopped}");
}
