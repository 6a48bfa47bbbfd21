//! The kernel's handle 0 on the host: the host's time, and a timer in a thread of its own.

use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use abi::kernel::own;
use abi::trap::BIT_TIMER;
use abi::{Badge, Call, Handle, Token};

use super::{End, Loopback};

/// Nanoseconds since this was first asked for; never 0.
pub fn now() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_nanos() as u64 + 1
}

/// The deadline, 0 when there is none.
#[derive(Default)]
struct Timer {
    deadline: Mutex<u64>,
    changed: Condvar,
}

impl Timer {
    fn set(&self, deadline: u64) {
        *self.deadline.lock().unwrap_or_else(PoisonError::into_inner) = deadline;
        self.changed.notify_all();
    }

    /// Waits for the next deadline to pass.
    fn wait(&self) {
        let mut deadline = self.deadline.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let left = match *deadline {
                0 => Duration::from_secs(3600),
                at if at <= now() => break,
                at => Duration::from_nanos(at - now()),
            };
            let waited = self.changed.wait_timeout(deadline, left);
            deadline = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        *deadline = 0;
    }
}

struct Own(Arc<Timer>);

impl own::Server for Own {
    fn exit(&mut self, _: Badge, code: u64) -> Result<(), own::Error> {
        panic!("a server ended with code {code}");
    }

    fn timer(&mut self, _: Badge, deadline: u64) -> Result<(), own::Error> {
        self.0.set(deadline);
        Ok(())
    }

    fn now(&mut self, _: Badge) -> Result<u64, own::Error> {
        Ok(now())
    }

    fn debug(
        &mut self,
        _: Badge,
        _: u64,
        _: u64,
        _: u64,
        _: u64,
        _: u64,
    ) -> Result<(), own::Error> {
        Err(own::Error::NotAllowed)
    }

    fn pause(&mut self, _: Badge) -> Result<(), own::Error> {
        std::thread::yield_now();
        Ok(())
    }
}

impl Loopback {
    /// Gives `owner` the kernel's handle 0, with the time of [`now`].
    pub fn own(&'static self, owner: &End) {
        let timer = Arc::new(Timer::default());
        let (end, waits) = (*owner, timer.clone());
        std::thread::spawn(move || {
            loop {
                waits.wait();
                end.set_bits(BIT_TIMER);
            }
        });
        let mut own = Own(timer);
        self.kernel(owner, Handle::OWN, move |message| {
            let call = Call { token: Token::NONE, badge: Badge::default(), message };
            own::dispatch(&mut own, &call).map(|answer| answer.message).unwrap_or_default()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::{Loopback, now};
    use abi::trap::BIT_TIMER;
    use abi::{Handle, Traps, kernel::own::Client};

    #[test]
    fn the_timer_fires_once_and_not_too_early() {
        let loopback = Loopback::new();
        let end = loopback.end();
        loopback.own(&end);
        let own = Client::new(end, Handle::OWN);
        let deadline = own.now().unwrap() + 20_000_000;
        own.timer(deadline).unwrap();
        assert_eq!(end.reply_wait(None).bits, BIT_TIMER);
        assert!(now() >= deadline);
        own.timer(1).unwrap();
        assert_eq!(end.reply_wait(None).bits, BIT_TIMER);
    }
}
