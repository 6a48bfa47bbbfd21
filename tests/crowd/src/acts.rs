//! The acts, by name.

mod accounts;
mod beside;
mod fatal;
mod flooded;
mod killed;
mod lost;
mod pairs;
mod payers;
mod restarted;
mod runaways;
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
    ("runaways", runaways::every_priority),
    ("many", runaways::many),
    ("small", payers::small),
    ("nested", payers::nested),
    ("payer", payers::killed),
];
