//! The acts, by name.

mod beside;
mod fatal;
mod flooded;
mod killed;
mod lost;
mod pairs;
mod restarted;
mod stopped;
mod unmapped;

use crate::stage::Stage;

/// A name and what is played.
pub type Act = (&'static str, fn(&Stage));

/// All of them.
pub const ACTS: &[Act] = &[
    ("killed", killed::play),
    ("restarted", restarted::play),
    ("fatal", fatal::play),
    ("flooded", flooded::play),
    ("lost", lost::play),
    ("stopped", stopped::play),
    ("unmapped", unmapped::play),
    ("beside", beside::play),
    ("pairs", pairs::play),
];
