//! Tests of the core over a model of the machine.

mod accounts;
mod accounts_random;
mod audit;
mod clockwork;
mod devices;
mod faults;
mod ipc;
mod limits;
mod memory;
mod model;
mod naive;
mod naive_accounts;
mod naive_control;
mod quick;
mod quick_accounts;
mod quick_steps;
mod random_ipc;
mod random_memory;
mod random_vcpus;
mod running;
mod servers;
mod steps;
mod world;
