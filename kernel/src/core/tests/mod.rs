//! Tests of the core over a model of the machine. Fuzzing uses the model as well.

#[cfg(test)]
mod accounts;
#[cfg(test)]
mod accounts_random;
mod audit;
pub mod bytes;
#[cfg(test)]
mod clockwork;
#[cfg(test)]
mod devices;
#[cfg(test)]
mod explore;
#[cfg(test)]
mod explore_steps;
#[cfg(test)]
mod faults;
mod holdings;
#[cfg(test)]
mod ipc;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod managers;
#[cfg(test)]
mod memory;
mod model;
#[cfg(test)]
mod naive;
#[cfg(test)]
mod naive_accounts;
#[cfg(test)]
mod naive_control;
#[cfg(test)]
mod quick;
#[cfg(test)]
mod quick_accounts;
#[cfg(test)]
mod quick_steps;
#[cfg(test)]
mod quotas;
#[cfg(test)]
mod random_ipc;
#[cfg(test)]
mod random_memory;
#[cfg(test)]
mod random_vcpus;
#[cfg(test)]
mod reach;
#[cfg(test)]
mod running;
#[cfg(test)]
mod servers;
#[cfg(test)]
mod steps;
#[cfg(test)]
mod swap;
#[cfg(test)]
mod tokens;
mod world;
