//! Tests of the core over a model of the machine.

mod accounts;
mod accounts_random;
mod audit;
mod clockwork;
mod devices;
mod faults;
mod holdings;
mod ipc;
mod limits;
mod managers;
mod memory;
mod model;
mod naive;
mod naive_accounts;
mod naive_control;
mod quick;
mod quick_accounts;
mod quick_steps;
mod quotas;
mod random_ipc;
mod random_memory;
mod reach;
mod running;
mod servers;
mod steps;
mod world;
