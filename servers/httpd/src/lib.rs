//! Serves HTTP.
#![no_std]
