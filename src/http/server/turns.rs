//! Turns. Who speaks HTTP/2 may always have more for the server to do, and nothing above stops before all of it is done:
//! one who sends frames for their own sake would have everybody else wait. So the task of a connection, and those of
//! its streams, work for a while and give way to all who have not worked since.

use std::{
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use tokio::task::yield_now;

/// How long one may work before others get their turn.
const TURN: Duration = Duration::from_micros(50);

/// When a task began what it does now. Shared by whoever runs in it.
#[derive(Clone)]
pub(super) struct Turn(Arc<Mutex<Instant>>);

impl Turn {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    /// Whoever polls the task begins each.
    pub(super) fn begin(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Ready for as long as it lasts. Then the task is woken again, when all others that can go on have done so and those
    /// for whom something came have heard of it.
    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.0.lock().unwrap_or_else(PoisonError::into_inner).elapsed() <= TURN {
            return Poll::Ready(());
        }
        pin!(yield_now()).poll(cx)
    }
}

/// What works for as long as a turn lasts.
pub(super) struct InTurns<F> {
    work: F,
    turn: Turn,
}

impl<F> InTurns<F> {
    pub(super) fn new(work: F, turn: Turn) -> Self {
        Self { work, turn }
    }
}

impl<F: Future + Unpin> Future for InTurns<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        ready!(self.turn.poll(cx));
        Pin::new(&mut self.work).poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, sync::mpsc::channel, thread::sleep};

    use super::*;

    #[tokio::test]
    async fn one_whose_turn_is_over_goes_on_after_all_who_can() {
        let (say, said) = channel();
        let (turn, mut left, busy) = (Turn::new(), 3, say.clone());
        let working = tokio::spawn(poll_fn(move |cx| {
            turn.begin();
            while left > 0 {
                ready!(turn.poll(cx));
                busy.send("busy").expect("heard");
                sleep(2 * TURN);
                left -= 1;
            }
            Poll::Ready(())
        }));
        let mut left = 5;
        let other = tokio::spawn(poll_fn(move |cx| {
            say.send("other").expect("heard");
            cx.waker().wake_by_ref();
            left -= 1;
            if left > 0 { Poll::Pending } else { Poll::Ready(()) }
        }));
        working.await.expect("it ends");
        other.await.expect("it ends");
        let order: Vec<_> = said.try_iter().collect();
        assert_eq!(order, [&["busy"][..], &["other"; 5], &["busy"; 2]].concat());
    }
}
