//! Whether the system takes what a connection sends, for those who make it in other tasks.
//!
//! HTTP/2 lets a client say how much it could take of each stream, and what is made for it waits in memory until the
//! socket takes it. While that is full, nothing that is made could go out: so nothing is made, however wide the windows of
//! one who does not read. Knows no HTTP.

use std::{
    future::poll_fn,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Waker},
};

/// What leaves a connection: shared by whoever writes it and those who make what is to be written.
#[derive(Clone, Default)]
pub(super) struct Outflow(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    is_blocked: bool,
    waiting: Vec<Waker>,
}

impl Outflow {
    /// The system takes nothing more for now.
    pub(super) fn block(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_blocked = true;
    }

    /// It takes bytes again, or the connection is gone.
    pub(super) fn unblock(&self) {
        let waiting = {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            state.is_blocked = false;
            std::mem::take(&mut state.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Ready while what is made now can go out.
    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.is_blocked {
            return Poll::Ready(());
        }
        if !state.waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            state.waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Waits for that.
    pub(super) async fn flows(&self) {
        poll_fn(|cx| self.poll(cx)).await;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::{spawn, task::yield_now};

    use super::*;

    #[tokio::test]
    async fn all_who_wait_go_on_when_it_flows_again() {
        let outflow = Outflow::default();
        assert!(outflow.flows().now_or_never().is_some());
        outflow.block();
        let waiting = [(); 3].map(|()| {
            spawn({
                let outflow = outflow.clone();
                async move { outflow.flows().await }
            })
        });
        yield_now().await;
        assert!(waiting.iter().all(|waiting| !waiting.is_finished()));
        outflow.unblock();
        for waiting in waiting {
            waiting.await.expect("it flows");
        }
    }
}
