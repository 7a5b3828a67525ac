//! Streams of HTTP/2. Each has a window of its own, so a client that takes nothing of one stream is noticed here and
//! not at the socket; that stream alone is reset.

use std::{
    future::poll_fn,
    panic::AssertUnwindSafe,
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::rt::Executor;
use tokio::{
    runtime::Handle,
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time::{Instant, sleep},
};

use super::{
    activity::InFlight,
    held::Holder,
    outflow::Outflow,
    room::Room,
    turns::{InTurns, Turn},
};
use crate::http::body::{Body, Error};
use crate::service::FRAME_LEN_MIN;

/// Since when a stream waits for its client to take something; none while the client waits for us.
#[derive(Clone, Default)]
pub(super) struct Waiting(Arc<Mutex<Option<Instant>>>);

/// How many times its length a frame of media takes: it lies in a buffer that could hold the records around it.
const MEDIA_MEMORY: usize = 2;

/// How many tasks run the streams of one connection at most. All they make is sent by one more.
const TASKS_MAX: usize = 4;

/// Runs the streams of one connection, each with an eye on its client. They share as many tasks as there are threads that
/// run tasks, and few, so that who opens many streams gets no more turns than who opens few.
#[derive(Clone)]
pub(super) struct Streams {
    timeout: Duration,
    outflow: Outflow,
    holder: Holder,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    /// The stream that is about to be run: a request is handed over and run in one breath.
    next: Option<Waiting>,
    tasks: Vec<UnboundedSender<Stream>>,
    begun: usize,
}

type Stream = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Streams {
    /// Of a connection whose client may take nothing of a stream for `timeout`.
    pub(super) fn new(timeout: Duration, outflow: Outflow, holder: Holder) -> Self {
        Self { timeout, outflow, holder, shared: Arc::default() }
    }

    /// Waits until the connection is to end, for what its client leaves untaken.
    pub(super) async fn is_too_much(&self) {
        self.holder.is_too_much().await;
    }

    /// A request was handed over on a stream that will be run next.
    pub(super) fn announce(&self) -> Pace {
        let waiting = Waiting::default();
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).next = Some(waiting.clone());
        Pace::Stream(waiting, self.outflow.clone(), self.holder.clone())
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let stream: Stream = match shared.next.take() {
            Some(waiting) => Box::pin(reset_when_stalled(stream, waiting, self.timeout)),
            None => Box::pin(stream),
        };
        let task = shared.begun % Handle::current().metrics().num_workers().clamp(1, TASKS_MAX);
        shared.begun += 1;
        if let Some(task) = shared.tasks.get(task) {
            // A task ends before the connection only with the process.
            let _dropped_then = task.send(stream);
        } else {
            let (begin, begun) = unbounded_channel();
            let _is_there = begin.send(stream);
            shared.tasks.push(begin);
            tokio::spawn(run(begun));
        }
    }
}

/// Runs streams in turns, until no more are begun and all have ended. One that panics is dropped, and the others go on.
async fn run(mut begun: UnboundedReceiver<Stream>) {
    let (turn, mut running) = (Turn::new(), FuturesUnordered::new());
    poll_fn(|cx| {
        turn.begin();
        let is_last = loop {
            match begun.poll_recv(cx) {
                Poll::Ready(Some(stream)) => {
                    running.push(InTurns::new(AssertUnwindSafe(stream).catch_unwind(), turn.clone()));
                }
                Poll::Ready(None) => break true,
                Poll::Pending => break false,
            }
        };
        while let Poll::Ready(Some(_ended)) = running.poll_next_unpin(cx) {}
        if is_last && running.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// Runs a stream to its end, or until its client has taken nothing for too long. A stream that is dropped is reset.
async fn reset_when_stalled(stream: impl Future<Output = ()>, waiting: Waiting, timeout: Duration) {
    let mut stream = pin!(stream);
    let mut check = pin!(sleep(timeout));
    loop {
        tokio::select! {
            biased;
            () = stream.as_mut() => return,
            () = check.as_mut() => {}
        }
        let now = Instant::now();
        // A wait that begins after this look ends no earlier than the next one.
        let next = waiting.since().map_or(now + timeout, |since| since + timeout);
        if next <= now {
            tracing::debug!("a stream of which nothing was taken is reset");
            return;
        }
        check.as_mut().reset(next);
    }
}

impl Waiting {
    fn since(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, since: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }
}

/// A body that says when it ends, and goes at its client's pace.
pub(super) struct Watched {
    body: Body,
    pace: Pace,
    _request: InFlight,
}

/// How it is known whether a client takes what it is given.
pub(super) enum Pace {
    /// HTTP/1: the connection is the client's, and media is made when the system has room for it.
    Connection(Room),
    /// HTTP/1.0, which ends what has no length by ending the connection: a cut is a reset there (RFC 9112, section 8).
    UntilClose(Room),
    /// HTTP/2: each stream has a window, and what is made for it waits for the connection.
    Stream(Waiting, Outflow, Holder),
}

impl Watched {
    pub(super) fn new(body: Body, request: InFlight, pace: Pace) -> Self {
        Self { body, pace, _request: request }
    }
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Self { body, pace, .. } = &mut *self;
        match pace {
            Pace::Connection(room) if body.is_media() => poll_media(body, room, cx),
            Pace::UntilClose(room) if body.is_media() => {
                let frame = ready!(poll_media(body, room, cx));
                if matches!(frame, Some(Err(_))) {
                    room.reset_at_end();
                }
                Poll::Ready(frame)
            }
            Pace::Connection(_) | Pace::UntilClose(_) => body.poll_frame(FRAME_LEN_MIN, cx),
            Pace::Stream(waiting, outflow, holder) => {
                if body.is_media() {
                    ready!(outflow.poll(cx));
                }
                // Asked for more: what was given before is taken.
                waiting.set(None);
                let frame = ready!(body.poll_frame(FRAME_LEN_MIN, cx));
                waiting.set(frame.is_some().then(Instant::now));
                let (holder, memory_len) = (&*holder, if body.is_media() { MEDIA_MEMORY } else { 1 });
                Poll::Ready(frame.map(|frame| {
                    frame.map(|frame| {
                        frame.map_data(|bytes| {
                            let len = bytes.len() * memory_len;
                            holder.hold(bytes, len)
                        })
                    })
                }))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The next frame of media, once there is room for it.
fn poll_media(body: &mut Body, room: &mut Room, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
    let Ok(frame_len) = ready!(room.poll(cx)) else { return Poll::Ready(Some(Err(Error::Stalled))) };
    let frame = ready!(body.poll_frame(frame_len, cx));
    if let Some(Ok(bytes)) = frame.as_ref().map(|frame| frame.as_ref().map(|frame| frame.data_ref())) {
        room.gave(bytes.map_or(0, Bytes::len));
    }
    Poll::Ready(frame)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::server::held::Held;

    #[tokio::test]
    async fn only_a_stream_that_waits_for_its_client_is_reset() {
        let timeout = Duration::from_secs(1);
        let run = |stall: bool| async move {
            let waiting = Waiting::default();
            let (seen, ended) = (waiting.clone(), Arc::new(Mutex::new(None)));
            let end = Arc::clone(&ended);
            let stream = async move {
                for _ in 0..5 {
                    seen.set(Some(Instant::now()));
                    sleep(timeout / 3).await;
                }
                // It waits for us now, or for its client.
                seen.set(stall.then(Instant::now));
                sleep(timeout * 3).await;
                end.lock().expect("lock").replace(());
            };
            reset_when_stalled(stream, waiting, timeout).await;
            ended.lock().expect("lock").is_some()
        };
        let (patient, stalled) = tokio::join!(run(false), run(true));
        assert!(patient && !stalled);
    }

    #[tokio::test]
    async fn who_opens_many_streams_gets_no_more_turns_than_who_opens_one() {
        let ended = Arc::new(Mutex::new(Vec::new()));
        let stream = |whose| {
            let ended = Arc::clone(&ended);
            async move {
                std::thread::sleep(Duration::from_millis(1));
                ended.lock().expect("lock").push(whose);
            }
        };
        let [greedy, modest] =
            [(); 2].map(|()| Streams::new(Duration::MAX, Outflow::default(), Held::default().begin()));
        for _ in 0..20 {
            greedy.execute(stream("greedy"));
        }
        modest.execute(stream("modest"));
        while ended.lock().expect("lock").len() < 21 {
            tokio::task::yield_now().await;
        }
        assert_eq!(ended.lock().expect("lock")[..3], ["greedy", "modest", "greedy"]);
    }

    #[tokio::test]
    async fn a_stream_that_panics_ends_alone_and_all_end_with_the_connection() {
        let streams = Streams::new(Duration::MAX, Outflow::default(), Held::default().begin());
        let (ended, mut heard) = unbounded_channel();
        let goes_on = ended.clone();
        streams.execute(async move {
            tokio::task::yield_now().await;
            goes_on.send("one").expect("heard");
        });
        streams.execute(async { panic!("of this stream alone") });
        assert_eq!(heard.recv().await, Some("one"));
        streams.execute(async move {
            sleep(Duration::from_millis(10)).await;
            ended.send("another").expect("heard");
        });
        // What was begun is brought to its end.
        drop(streams);
        assert_eq!(heard.recv().await, Some("another"));
        while Handle::current().metrics().num_alive_tasks() > 0 {
            tokio::task::yield_now().await;
        }
    }
}
