//! [`Task`]: one device from being found to being gone, and again.
//!
//! Invariant: the actions that `xen::xenbus` names are done in their order, each to its end; a session with xenstore that
//! was lost meanwhile is begun anew and the action done again. Whatever fails is tried again only after a pause.

use alloc::collections::VecDeque;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::convert::Infallible;

use abi::Traps;
use ipc::xenstore::Failure;
use xen::xenbus::{Action, Device, Event, LIMIT_NS, State};

use crate::desk::{Desk, News, Stop};
use crate::kernel::Kernel;
use crate::store::Store;
use crate::{Driver, Node, Offer, Place, Texts};

/// The pause after a session was lost; it doubles each time, until a device was found.
const LOST_NS: u64 = 50_000_000;
/// The longest such pause.
const LOST_MOST_NS: u64 = 5_000_000_000;
/// The pause before pages that the backend still has are tried again.
const LEFTOVER_NS: u64 = 1_000_000_000;
/// How often they are tried.
const LEFTOVER_TRIES: u32 = 10;
/// The pause before a broken device is tried again.
const RETRY_NS: u64 = 30_000_000_000;

/// A device that was found.
struct Found {
    /// Its own directory.
    directory: String,
    /// The backend's.
    backend: String,
}

impl Found {
    /// Whether the text of our `backend` node is what was found.
    fn is_backend(&self, text: Option<&[u8]>) -> bool {
        text == Some(self.backend.as_bytes())
    }
}

/// What is to be done.
#[derive(Clone, Copy)]
enum Todo {
    Do(Action),
    /// Tell domain 0 and the log what is wrong.
    Complain(&'static str),
}

/// The task of a device.
pub(crate) struct Task<T, D> {
    store: Store<T>,
    kernel: Kernel<T>,
    desk: Desk,
    driver: Rc<RefCell<D>>,
    place: Place,
    device: Option<Device>,
    todo: VecDeque<Todo>,
    /// The next pause after a lost session.
    pause: u64,
    /// Whether the log was told that there is no device.
    has_said_absent: bool,
}

impl<T: Traps, D: Driver> Task<T, D> {
    pub fn new(
        store: Store<T>,
        kernel: Kernel<T>,
        desk: Desk,
        driver: Rc<RefCell<D>>,
        place: Place,
    ) -> Self {
        let (device, todo) = (None, VecDeque::new());
        let (pause, has_said_absent) = (LOST_NS, false);
        Self { store, kernel, desk, driver, place, device, todo, pause, has_said_absent }
    }

    /// Runs for ever.
    pub async fn run(mut self) -> Infallible {
        loop {
            let Err(stop) = self.session().await;
            if stop == Stop::World {
                self.desk.begin_world();
                self.drop_to(Event::NewWorld);
            } else {
                self.desk.pause(self.kernel.now() + self.pause).await;
                self.pause = (self.pause * 2).min(LOST_MOST_NS);
            }
        }
    }

    /// One session with xenstore, until the device is gone or the session is lost.
    async fn session(&mut self) -> Result<Infallible, Stop> {
        self.store.open()?;
        let found = match self.place.clone() {
            Place::At(directory) => {
                self.store.watch(&format!("{directory}/backend")).await?;
                self.find().await?
            }
            Place::Below(class) => {
                let watch = self.store.watch(&class).await?;
                let found = self.find().await?;
                self.store.unwatch(watch).await?;
                self.store.watch(&format!("{}/backend", found.directory)).await?;
                found
            }
        };
        self.store.watch(&format!("{}/state", found.backend)).await?;
        self.serve(&found).await?;
        self.outlast(&found).await?;
        Err(Stop::Lost)
    }

    /// Finds the device; waits until there is one. Any other obstacle ends the session.
    async fn find(&mut self) -> Result<Found, Stop> {
        loop {
            let found = self.try_find().await;
            if let Err(Stop::Failed(failure)) = found {
                self.absent(failure);
            }
            if !matches!(found, Err(Stop::Failed(Failure::NoEntry))) {
                return found;
            }
            self.desk.fired().await?;
        }
    }

    async fn try_find(&self) -> Result<Found, Stop> {
        let directory = match &self.place {
            Place::At(directory) => directory.clone(),
            Place::Below(class) => {
                let name = self.store.first_below(class).await?;
                format!("{class}/{}", name.ok_or(Stop::Failed(Failure::NoEntry))?)
            }
        };
        let backend = self.store.backend(&directory).await?;
        Ok(Found { directory, backend })
    }

    /// There is no device, or none any more.
    fn absent(&mut self, failure: Failure) {
        self.drop_to(Event::Backend(None, false));
        self.device = None;
        self.driver.borrow_mut().present(false);
        if !core::mem::replace(&mut self.has_said_absent, true) {
            rt::log!("no device at {:?}: {failure:?}", self.place);
        }
    }

    /// Forgets what was to be done, and takes an event that leads to nothing that needs an answer.
    fn drop_to(&mut self, event: Event) {
        self.todo.clear();
        self.step(event);
        while let Some(todo) = self.todo.pop_front() {
            if let Todo::Do(action) = todo {
                self.at_once(action);
            }
        }
    }

    /// Follows the device until it is gone.
    async fn serve(&mut self, found: &Found) -> Result<(), Stop> {
        if self.device.is_none() {
            self.meet(found).await?;
        }
        self.has_said_absent = false;
        self.pause = LOST_NS;
        self.driver.borrow_mut().present(true);
        let event = self.look(found).await?;
        self.step(event);
        while self.device.is_some() {
            self.work(found).await?;
            self.next(found).await?;
        }
        rt::log!("{} is gone", found.directory);
        self.driver.borrow_mut().present(false);
        Ok(())
    }

    /// Waits until the directories of a device that has ended are gone too, or its backend is online again.
    async fn outlast(&self, found: &Found) -> Result<(), Stop> {
        while self.has_own(found).await? {
            if let Event::Backend(Some(_), true) = self.look(found).await? {
                return Ok(());
            }
            self.desk.fired().await?;
        }
        Ok(())
    }

    /// A device that is new to us, as the toolstack or another incarnation left it.
    async fn meet(&mut self, found: &Found) -> Result<(), Stop> {
        let [own] = self.store.look([&format!("{}/state", found.directory)]).await?;
        let own = own.map_or(State::Unknown, |text| State::parse(&text));
        rt::log!("{} was found, its backend is {}", found.directory, found.backend);
        self.desk.begin_device();
        self.device = Some(Device::new(D::CLASS, own));
        Ok(())
    }

    /// Waits for what happens next and takes it, unless the device has ended.
    async fn next(&mut self, found: &Found) -> Result<(), Stop> {
        if self.device.as_ref().is_none_or(Device::has_ended) {
            self.device = None;
            return Ok(());
        }
        let event = match self.desk.news().await? {
            News::Fired => self.look(found).await?,
            News::Event(event) => event,
        };
        self.step(event);
        Ok(())
    }

    /// What the backend says of itself; nothing, if the directories are not those that were found.
    async fn look(&self, found: &Found) -> Result<Event, Stop> {
        let paths = [
            &*format!("{}/backend", found.directory),
            &*format!("{}/state", found.backend),
            &*format!("{}/online", found.backend),
        ];
        let [backend, state, online] = self.store.look(paths).await?;
        if !found.is_backend(backend.as_deref()) {
            return Ok(Event::Backend(None, false));
        }
        let state = state.map(|text| State::parse(&text));
        Ok(Event::Backend(state, online.as_deref() != Some(b"0")))
    }

    /// Whether our own directory is there, and has the backend that was found.
    async fn has_own(&self, found: &Found) -> Result<bool, Stop> {
        let [backend] = self.store.look([&format!("{}/backend", found.directory)]).await?;
        Ok(found.is_backend(backend.as_deref()))
    }

    /// Lets the device take an event, and notes what is to be done.
    fn step(&mut self, event: Event) {
        let Some(device) = &mut self.device else { return };
        match event {
            Event::Broken => self.todo.push_back(Todo::Complain("the backend broke the rules")),
            Event::Unable => self.todo.push_back(Todo::Complain("the device cannot be connected")),
            _ => {}
        }
        self.todo.extend(device.step(event).into_iter().map(Todo::Do));
        if device.has_failed() {
            self.desk.set_retry(self.kernel.now() + RETRY_NS);
        }
    }

    /// Does all that is to be done.
    async fn work(&mut self, found: &Found) -> Result<(), Stop> {
        while let Some(&todo) = self.todo.front() {
            let event = match todo {
                Todo::Do(action) => self.perform(found, action).await?,
                Todo::Complain(text) => self.complain(found, text).await?,
            };
            self.todo.pop_front();
            if let Some(event) = event {
                self.step(event);
            }
        }
        Ok(())
    }

    async fn perform(&mut self, found: &Found, action: Action) -> Result<Option<Event>, Stop> {
        match action {
            Action::Set(state) => self.set(found, state).await,
            Action::Negotiate => self.negotiate(found).await.map(Some),
            Action::Online => {
                let facts = self.texts(found, D::FACTS).await?;
                rt::log!("{} is connected", found.directory);
                let is_sane = self.driver.borrow_mut().online(&facts);
                Ok((!is_sane).then_some(Event::Broken))
            }
            Action::Refresh => {
                let facts = self.texts(found, D::FACTS).await?;
                let is_sane = self.driver.borrow_mut().refresh(&facts);
                Ok((!is_sane).then_some(Event::Broken))
            }
            _ => {
                self.at_once(action);
                Ok(None)
            }
        }
    }

    /// An action that needs nobody's answer.
    fn at_once(&mut self, action: Action) {
        match action {
            Action::Offline => self.driver.borrow_mut().offline(),
            Action::Release => {
                self.driver.borrow_mut().release();
                self.kernel.release();
            }
            Action::Limit => self.desk.set_limit(self.kernel.now() + LIMIT_NS),
            Action::End => self.driver.borrow_mut().abandon(),
            _ => {}
        }
    }

    /// Writes our state. That the directory is gone, its watch tells.
    async fn set(&mut self, found: &Found, state: State) -> Result<Option<Event>, Stop> {
        if state == State::Initialising {
            self.desk.begin_device();
        }
        let node = [("state", state.text())];
        match self.store.publish(&found.directory, node.into_iter()).await {
            Err(Stop::Failed(failure)) => {
                rt::log!("{}: state {state:?} was not written: {failure:?}", found.directory);
            }
            other => other?,
        }
        Ok(None)
    }

    async fn complain(&mut self, found: &Found, text: &str) -> Result<Option<Event>, Stop> {
        rt::log!("{}: {text}", found.directory);
        self.driver.borrow_mut().abandon();
        let node = format!("error/{}/error", found.directory);
        match self.store.write(&node, text).await {
            Ok(()) | Err(Stop::Failed(_)) => Ok(None),
            Err(stop) => Err(stop),
        }
    }

    async fn negotiate(&mut self, found: &Found) -> Result<Event, Stop> {
        let features = self.texts(found, D::FEATURES).await?;
        let Some(offer) = self.offer(&features).await else { return Ok(Event::Unable) };
        let state = ("state", D::CLASS.published().text());
        let nodes = offer.iter().map(|(name, text)| (*name, text.as_str()));
        match self.store.publish(&found.directory, nodes.chain([state])).await {
            Ok(()) => Ok(Event::Published),
            Err(Stop::Failed(_)) => Ok(Event::Unable),
            Err(stop) => Err(stop),
        }
    }

    /// Grants the pages, opens the port, and makes the rings.
    async fn offer(&mut self, features: &Texts) -> Option<Offer> {
        for _ in 0..LEFTOVER_TRIES {
            let left = self.kernel.release();
            if left == 0 {
                let spans = self.driver.borrow().spans();
                let reference = self.kernel.grant(&spans)?;
                let port = self.kernel.open()?;
                return self.driver.borrow_mut().offer(reference, port, features);
            }
            rt::log!("the backend still has {left} pages");
            self.desk.pause(self.kernel.now() + LEFTOVER_NS).await;
        }
        None
    }

    /// The texts of `nodes`, in order.
    async fn texts(&self, found: &Found, nodes: &[Node]) -> Result<Vec<Option<Vec<u8>>>, Stop> {
        let path = |node: &Node| match node {
            Node::Own(name) => format!("{}/{name}", found.directory),
            Node::Backend(name) => format!("{}/{name}", found.backend),
        };
        let paths: Vec<String> = nodes.iter().map(path).collect();
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        self.store.look_all(&paths).await
    }
}
