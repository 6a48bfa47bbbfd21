//! [`Desk`]: where what arrived is laid for the device's task to pick up, and what time it waits for.
//!
//! Invariant: nothing on it is lost until it is picked up; what arrives twice counts once, since the task always reads
//! the present state. It is shared between the server's loop and the task, which run in turn, never at once.

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::future::poll_fn;
use core::task::Poll;

use ipc::xenstore::{Failure, MOST_OPEN};
use xen::xenbus::Event;

/// Why a sequence of requests to xenstore ended early.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stop {
    /// The session is gone: begin it anew, then go on.
    Lost,
    /// The domain goes on elsewhere: everything is void.
    World,
    /// The request failed.
    Failed(Failure),
}

/// The answer to a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Answer {
    /// Its number.
    pub number: u32,
    /// The code, or why it failed.
    pub result: Result<u32, Failure>,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// What the task waits for beside answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum News {
    /// A watch fired.
    Fired,
    /// This happened.
    Event(Event),
}

#[derive(Default)]
struct Papers {
    /// Of the requests that are open; no more than xenstore takes.
    answers: Vec<Answer>,
    is_lost: bool,
    is_world: bool,
    has_fired: bool,
    is_broken: bool,
    is_late: bool,
    is_retry: bool,
    /// When the backend must have taken the next step.
    limit: Option<u64>,
    /// When a broken device is tried again.
    retry: Option<u64>,
    /// When the task goes on.
    pause: Option<u64>,
}

/// What arrived, and what is waited for.
#[derive(Clone, Default)]
pub(crate) struct Desk(Rc<RefCell<Papers>>);

impl Desk {
    pub fn put_answer(&self, answer: Answer) {
        let answers = &mut self.0.borrow_mut().answers;
        if answers.len() < MOST_OPEN {
            answers.push(answer);
        }
    }

    pub fn put_fired(&self) {
        self.0.borrow_mut().has_fired = true;
    }

    pub fn put_lost(&self) {
        self.0.borrow_mut().is_lost = true;
    }

    pub fn put_world(&self) {
        self.0.borrow_mut().is_world = true;
    }

    pub fn put_broken(&self) {
        self.0.borrow_mut().is_broken = true;
    }

    /// A new session begins: what belonged to the old one is void.
    pub fn begin_session(&self) {
        let mut papers = self.0.borrow_mut();
        papers.is_lost = false;
        papers.answers.clear();
    }

    /// A new world begins: what was waited for is void.
    pub fn begin_world(&self) {
        *self.0.borrow_mut() = Papers::default();
    }

    /// A new device begins, or a closed one begins anew.
    pub fn begin_device(&self) {
        let mut papers = self.0.borrow_mut();
        papers.is_broken = false;
        papers.is_late = false;
        papers.is_retry = false;
        papers.limit = None;
        papers.retry = None;
    }

    pub fn set_limit(&self, at: u64) {
        let mut papers = self.0.borrow_mut();
        papers.limit = Some(at);
        papers.is_late = false;
    }

    /// Unless it is set already.
    pub fn set_retry(&self, at: u64) {
        self.0.borrow_mut().retry.get_or_insert(at);
    }

    /// The next time that is waited for.
    pub fn deadline(&self) -> Option<u64> {
        let papers = self.0.borrow();
        [papers.limit, papers.retry, papers.pause].into_iter().flatten().min()
    }

    /// It is `now`.
    pub fn pass(&self, now: u64) {
        let papers = &mut *self.0.borrow_mut();
        let has_passed = |at: &mut u64| *at <= now;
        papers.is_late |= papers.limit.take_if(has_passed).is_some();
        papers.is_retry |= papers.retry.take_if(has_passed).is_some();
        papers.pause.take_if(has_passed);
    }

    /// Waits for the answer to request `number`.
    pub async fn answer(&self, number: u32) -> Result<Answer, Stop> {
        let take = |papers: &mut Papers| {
            let at = papers.answers.iter().position(|answer| answer.number == number)?;
            Some(papers.answers.swap_remove(at))
        };
        poll_fn(|_| self.poll(take)).await
    }

    /// Waits for a watch to fire.
    pub async fn fired(&self) -> Result<(), Stop> {
        poll_fn(|_| self.poll(|papers| core::mem::take(&mut papers.has_fired).then_some(()))).await
    }

    /// Waits for the next news.
    pub async fn news(&self) -> Result<News, Stop> {
        poll_fn(|_| self.poll(Papers::news)).await
    }

    /// Waits until it is `at`, whatever else happens.
    pub async fn pause(&self, at: u64) {
        self.0.borrow_mut().pause = Some(at);
        poll_fn(|_| if self.0.borrow().pause.is_some() { Poll::Pending } else { Poll::Ready(()) })
            .await;
    }

    fn poll<R>(&self, look: impl FnOnce(&mut Papers) -> Option<R>) -> Poll<Result<R, Stop>> {
        let papers = &mut *self.0.borrow_mut();
        if papers.is_world {
            return Poll::Ready(Err(Stop::World));
        }
        if papers.is_lost {
            return Poll::Ready(Err(Stop::Lost));
        }
        look(papers).map_or(Poll::Pending, |found| Poll::Ready(Ok(found)))
    }
}

impl Papers {
    fn news(&mut self) -> Option<News> {
        let take = core::mem::take::<bool>;
        if take(&mut self.is_broken) {
            Some(News::Event(Event::Broken))
        } else if take(&mut self.has_fired) {
            Some(News::Fired)
        } else if take(&mut self.is_late) {
            Some(News::Event(Event::Late))
        } else if take(&mut self.is_retry) {
            Some(News::Event(Event::Retry))
        } else {
            None
        }
    }
}
