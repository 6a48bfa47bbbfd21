//! One declaration per call.
//!
//! [`interface!`](crate::interface!) turns a list of methods into six names, the same in every interface's module: `NAME`, `METHODS`,
//! `Error`, `Server`, `Client`, `dispatch`. On the wire a call's label is the method's number; a reply's label is 0 or the
//! error's number; [`UNKNOWN_METHOD`] and [`BAD_ARGUMENT`] tell a caller that it speaks another contract.
//!
//! A method is `now` (answered before the server waits again) or `wait` (its answer may come any time later). A thread that
//! itself serves may call only `now` methods of others; `pack` checks it. `retry` marks a method that may be repeated when
//! the outcome of the first try is unknown.

use core::marker::PhantomData;

use crate::{Badge, Message, Status, Token, Traps, Word, Words};

/// Label of a reply: the server has no such method.
pub const UNKNOWN_METHOD: u64 = 0xffff_0001;
/// Label of a reply: an argument was no value of its type.
pub const BAD_ARGUMENT: u64 = 0xffff_0002;

/// When the answer comes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Waiting {
    /// Before the server waits again.
    Now,
    /// Any time later.
    Wait,
}

/// What is known of a method at compile time; the same facts are in the wiring note of each server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Method {
    /// Its number on the wire.
    pub number: u16,
    /// Its name.
    pub name: &'static str,
    /// When the answer comes.
    pub waiting: Waiting,
    /// Whether it may be repeated when the outcome of the first try is unknown.
    pub retry: bool,
    /// Hash of its canonical text: interface, name, number, kind, arguments, result and the error codes.
    pub hash: u64,
}

/// A call as the server receives it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Call {
    /// The right to answer it.
    pub token: Token,
    /// Who calls.
    pub badge: Badge,
    /// The message.
    pub message: Message,
}

/// An answer on its way to [`Traps::reply_wait`] or [`Traps::reply`].
#[must_use = "a call without an answer blocks its caller"]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Answer {
    /// Which call.
    pub token: Token,
    /// The reply.
    pub message: Message,
}

impl Answer {
    /// The answer to a call that the contract does not know.
    pub const fn protocol_error(token: Token, label: u64) -> Self {
        Self { token, message: Message::new(label, [0; 5]) }
    }
}

/// The caller of a `wait` method: a typed right to answer, to be kept until the answer is known.
#[must_use = "a caller that is dropped waits for ever"]
#[derive(PartialEq, Eq, Debug)]
pub struct Caller<R, E> {
    token: Token,
    badge: Badge,
    result: PhantomData<fn(R, E)>,
}

impl<R: Words, E: Word> Caller<R, E> {
    /// The caller behind a token; made by `dispatch`.
    pub const fn new(token: Token, badge: Badge) -> Self {
        Self { token, badge, result: PhantomData }
    }

    /// Who calls.
    pub const fn badge(&self) -> Badge {
        self.badge
    }

    /// The answer, to be given to [`Traps::reply`] or returned from the method.
    pub fn answer(self, result: Result<R, E>) -> Answer {
        Answer { token: self.token, message: encode(result) }
    }
}

/// Encodes a result as a reply.
pub fn encode<R: Words, E: Word>(result: Result<R, E>) -> Message {
    match result {
        Ok(value) => Message::new(0, value.to_words()),
        Err(error) => Message::new(error.to_word(), [0; 5]),
    }
}

/// Why a call gave no result.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CallError<E> {
    /// The server refused, and says why.
    Refused(E),
    /// The kernel could not get an answer; never [`Status::Ok`].
    Status(Status),
    /// The server speaks another contract.
    Protocol,
}

/// Decodes the outcome of a call.
pub fn decode<R: Words, E: Word>((status, reply): (Status, Message)) -> Result<R, CallError<E>> {
    match (status, reply.label) {
        (Status::Ok, 0) => R::from_words(reply.words).ok_or(CallError::Protocol),
        (Status::Ok, label) => {
            Err(E::from_word(label).map_or(CallError::Protocol, CallError::Refused))
        }
        (status, _) => Err(CallError::Status(status)),
    }
}

/// Calls, and once more if the method may be repeated and the server was restarted meanwhile.
pub fn call<T: Traps>(
    traps: &T,
    handle: crate::Handle,
    message: Message,
    retry: bool,
) -> (Status, Message) {
    let first = traps.call(handle, message);
    if retry && first.0 == Status::Restarted { traps.call(handle, message) } else { first }
}

/// Declares an interface: its errors and its methods.
///
/// ```
/// mod lamp {
///     abi::interface! {
///         /// A lamp.
///         interface "lamp";
///         /// Why the lamp refused.
///         error Error {
///             /// It is broken.
///             Broken = 1,
///         }
///         /// Switches it; tells whether it was on.
///         1 now fn switch(on: bool) -> bool;
///         /// Waits until somebody else switches it.
///         2 wait fn watch() -> bool;
///     }
/// }
/// assert_eq!(lamp::METHODS[1].name, "watch");
/// ```
#[macro_export]
macro_rules! interface {
    (
        $(#[$about:meta])*
        interface $name:literal;
        $(#[$error_about:meta])*
        error $error:ident { $($(#[$code_about:meta])* $code:ident = $value:literal,)+ }
        $($(#[$method_about:meta])* $number:literal $waiting:ident $(($retry:ident))? fn $method:ident($($argument:ident: $type:ident),* $(,)?) -> $result:ty;)+
    ) => {
        $crate::word_enum! { $(#[$error_about])* pub enum $error { $($(#[$code_about])* $code = $value,)+ } }

        $(#[$about])*
        pub const NAME: &str = $name;

        const ERROR_HASH: u64 = $crate::hash::text(<$error as $crate::Word>::NAME);

        /// The methods, in order of declaration.
        pub const METHODS: &[$crate::Method] = &[$($crate::Method {
            number: $number,
            name: stringify!($method),
            waiting: $crate::interface!(@waiting $waiting),
            retry: $crate::interface!(@retry $($retry)?),
            hash: $crate::hash::combine(&[
                $crate::hash::text(concat!($name, ".", stringify!($method), "#", stringify!($number), " ", stringify!($waiting))),
                $($crate::hash::text(stringify!($argument)), $crate::hash::text(<$type as $crate::Word>::NAME),)*
                <$result as $crate::Words>::HASH,
                ERROR_HASH,
            ]),
        }),+];

        /// What a server of this interface implements. A `now` method returns its result; a `wait` method gets its
        /// [`Caller`]($crate::Caller) and returns the answer, or keeps the caller and returns `None`.
        pub trait Server {
            $($crate::interface! { @declare $waiting $error
                $(#[$method_about])* fn $method($($argument: $type),*) -> $result; })+
        }

        /// The caller's side.
        #[derive(Clone, Copy, Debug)]
        pub struct Client<T> {
            traps: T,
            handle: $crate::Handle,
        }

        impl<T: $crate::Traps> Client<T> {
            /// A client that calls through `handle`.
            pub const fn new(traps: T, handle: $crate::Handle) -> Self {
                Self { traps, handle }
            }

            /// The handle that it calls through.
            pub const fn handle(&self) -> $crate::Handle {
                self.handle
            }

            $(
                $(#[$method_about])*
                ///
                /// # Errors
                /// What the server refuses, or that it did not answer.
                pub fn $method(&self, $($argument: $type),*) -> Result<$result, $crate::CallError<$error>> {
                    let words = $crate::interface!(@words $($argument)*);
                    let message = $crate::Message::new($number, words);
                    const RETRY: bool = $crate::interface!(@retry $($retry)?);
                    $crate::interface::decode($crate::interface::call(&self.traps, self.handle, message, RETRY))
                }
            )+
        }

        /// Decodes a call, lets `server` do it, and encodes the answer; `None` when the server keeps the caller.
        pub fn dispatch<S: Server + ?Sized>(server: &mut S, call: &$crate::Call) -> Option<$crate::Answer> {
            match call.message.label {
                $($number => { $crate::interface!(@run $waiting server call $method [$($argument: $type),*]) })+
                _ => Some($crate::Answer::protocol_error(call.token, $crate::interface::UNKNOWN_METHOD)),
            }
        }
    };

    (@waiting now) => { $crate::Waiting::Now };
    (@waiting wait) => { $crate::Waiting::Wait };
    (@retry) => { false };
    (@retry retry) => { true };

    (@declare now $error:ident $(#[$about:meta])* fn $method:ident($($argument:ident: $type:ident),*) -> $result:ty;) => {
        $(#[$about])*
        ///
        /// # Errors
        /// As the interface declares them.
        fn $method(&mut self, from: $crate::Badge, $($argument: $type),*) -> Result<$result, $error>;
    };
    (@declare wait $error:ident $(#[$about:meta])* fn $method:ident($($argument:ident: $type:ident),*) -> $result:ty;) => {
        $(#[$about])*
        fn $method(&mut self, caller: $crate::Caller<$result, $error>, $($argument: $type),*) -> Option<$crate::Answer>;
    };

    (@words) => { [0; 5] };
    (@words $a:ident) => { [$crate::Word::to_word($a), 0, 0, 0, 0] };
    (@words $a:ident $b:ident) => { [$crate::Word::to_word($a), $crate::Word::to_word($b), 0, 0, 0] };
    (@words $a:ident $b:ident $c:ident) => {
        [$crate::Word::to_word($a), $crate::Word::to_word($b), $crate::Word::to_word($c), 0, 0]
    };
    (@words $a:ident $b:ident $c:ident $d:ident) => {
        [$crate::Word::to_word($a), $crate::Word::to_word($b), $crate::Word::to_word($c), $crate::Word::to_word($d), 0]
    };
    (@words $a:ident $b:ident $c:ident $d:ident $e:ident) => {
        [$crate::Word::to_word($a), $crate::Word::to_word($b), $crate::Word::to_word($c), $crate::Word::to_word($d),
         $crate::Word::to_word($e)]
    };

    (@run $waiting:ident $server:ident $call:ident $method:ident []) => {
        $crate::interface!(@finish $waiting $server $call $method [])
    };
    (@run $waiting:ident $server:ident $call:ident $method:ident [$($argument:ident: $type:ident),+]) => {{
        let mut words = $call.message.words.into_iter();
        #[allow(unused_parens)]
        let decoded = ($(words.next().and_then(<$type as $crate::Word>::from_word)),+);
        #[allow(unused_parens)]
        if let ($(Some($argument)),+) = decoded {
            $crate::interface!(@finish $waiting $server $call $method [$($argument),+])
        } else {
            Some($crate::Answer::protocol_error($call.token, $crate::interface::BAD_ARGUMENT))
        }
    }};
    (@finish now $server:ident $call:ident $method:ident [$($argument:ident),*]) => {
        Some($crate::Answer {
            token: $call.token,
            message: $crate::interface::encode($server.$method($call.badge, $($argument),*)),
        })
    };
    (@finish wait $server:ident $call:ident $method:ident [$($argument:ident),*]) => {
        $server.$method($crate::Caller::new($call.token, $call.badge), $($argument),*)
    };
}

#[cfg(test)]
mod tests {
    use super::{Answer, BAD_ARGUMENT, CallError, UNKNOWN_METHOD, Waiting};
    use crate::{Badge, Call, Caller, Event, Handle, Message, Status, Token, Traps};

    mod sample {
        crate::interface! {
            /// A sample.
            interface "sample";
            /// Errors.
            error Error {
                /// No.
                No = 7,
            }
            /// Adds.
            1 now fn add(a: u32, b: u32) -> u64;
            /// Waits.
            2 wait (retry) fn later(a: u8) -> (u8, u16);
            /// Nothing.
            3 now fn nothing() -> ();
        }
    }

    #[derive(Default)]
    struct Server(Option<Caller<(u8, u16), sample::Error>>);

    impl sample::Server for Server {
        fn add(&mut self, _: Badge, a: u32, b: u32) -> Result<u64, sample::Error> {
            if a == 0 { Err(sample::Error::No) } else { Ok(u64::from(a) + u64::from(b)) }
        }
        fn later(&mut self, caller: Caller<(u8, u16), sample::Error>, _: u8) -> Option<Answer> {
            self.0 = Some(caller);
            None
        }
        fn nothing(&mut self, _: Badge) -> Result<(), sample::Error> {
            Ok(())
        }
    }

    fn send(server: &mut Server, label: u64, words: [u64; 5]) -> Option<Message> {
        let call = Call {
            token: Token::NONE,
            badge: Badge::default(),
            message: Message::new(label, words),
        };
        sample::dispatch(server, &call).map(|answer| answer.message)
    }

    #[test]
    fn now_methods_answer_at_once() {
        let answer = send(&mut Server::default(), 1, [2, 3, 0, 0, 0]);
        assert_eq!(answer, Some(Message::new(0, [5, 0, 0, 0, 0])));
    }

    #[test]
    fn refusals_travel_in_the_label() {
        assert_eq!(send(&mut Server::default(), 1, [0; 5]), Some(Message::new(7, [0; 5])));
    }

    #[test]
    fn wait_methods_may_answer_later() {
        let mut server = Server::default();
        assert_eq!(send(&mut server, 2, [1, 0, 0, 0, 0]), None);
        let answer = server.0.take().map(|caller| caller.answer(Ok((1, 2))));
        assert_eq!(answer.map(|a| a.message), Some(Message::new(0, [1, 2, 0, 0, 0])));
    }

    #[test]
    fn foreign_calls_are_told_so() {
        let mut server = Server::default();
        assert_eq!(send(&mut server, 9, [0; 5]).map(|m| m.label), Some(UNKNOWN_METHOD));
        assert_eq!(
            send(&mut server, 1, [1 << 40, 0, 0, 0, 0]).map(|m| m.label),
            Some(BAD_ARGUMENT)
        );
    }

    /// Calls a server that lives in the same place.
    #[derive(Clone, Copy)]
    struct Direct;

    impl Traps for Direct {
        fn call(&self, _: Handle, message: Message) -> (Status, Message) {
            let call = Call { token: Token::NONE, badge: Badge::default(), message };
            match sample::dispatch(&mut Server::default(), &call) {
                Some(answer) => (Status::Ok, answer.message),
                None => (Status::Restarted, Message::default()),
            }
        }
        fn reply_wait(&self, _: Option<Answer>) -> Event {
            Event::default()
        }
        fn reply(&self, _: Answer) {}
        fn notify(&self, _: Handle) {}
    }

    #[test]
    fn clients_get_results_refusals_and_statuses() {
        let client = sample::Client::new(Direct, Handle(3));
        assert_eq!((sample::NAME, client.handle()), ("sample", Handle(3)));
        assert_eq!(client.add(2, 3), Ok(5));
        assert_eq!(client.add(0, 3), Err(CallError::Refused(sample::Error::No)));
        assert_eq!(client.later(1), Err(CallError::Status(Status::Restarted)));
        assert_eq!(client.nothing(), Ok(()));
    }

    #[test]
    fn methods_describe_themselves() {
        let [add, later, nothing] = sample::METHODS else { unreachable!() };
        assert_eq!((add.number, add.name, add.waiting, add.retry), (1, "add", Waiting::Now, false));
        assert_eq!((later.waiting, later.retry), (Waiting::Wait, true));
        assert!(add.hash != later.hash && later.hash != nothing.hash);
    }
}
