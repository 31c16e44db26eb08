use core::future::{Future, poll_fn};
use core::pin::pin;
use core::sync::atomic::{AtomicUsize, Ordering};
use core::task::{Context, Poll, Waker};
use std::sync::{Arc, Mutex};
use std::task::Wake;

use crate::connection::quiet::Quiet;

#[derive(Default)]
struct Task(AtomicUsize);

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn it_is_polled_at_first_when_woken_and_in_another_task_only() {
    let (task, other) = (Arc::new(Task::default()), Arc::new(Task::default()));
    let (waker, other_waker) = (Waker::from(Arc::clone(&task)), Waker::from(Arc::clone(&other)));
    let mut polls = 0;
    let rings = Arc::new(Mutex::new(None::<Waker>));
    let shared = Arc::clone(&rings);
    let inner = poll_fn(move |context| {
        polls += 1;
        *shared.lock().expect("one thread") = Some(context.waker().clone());
        if polls == 4 { Poll::Ready(polls) } else { Poll::Pending }
    });
    let mut quiet = pin!(Quiet::new(inner));
    let ring = || rings.lock().expect("one thread").clone().expect("it was polled").wake();
    let mut poll = |waker: &Waker| quiet.as_mut().poll(&mut Context::from_waker(waker));
    assert_eq!(poll(&waker), Poll::Pending, "the first poll");
    assert_eq!(poll(&waker), Poll::Pending, "not woken: no poll");
    assert_eq!(poll(&waker), Poll::Pending, "not woken: no poll");
    ring();
    assert_eq!(task.0.load(Ordering::SeqCst), 1, "the task hears of it");
    assert_eq!(poll(&waker), Poll::Pending, "the second poll");
    assert_eq!(poll(&other_waker), Poll::Pending, "the third poll");
    assert_eq!(poll(&other_waker), Poll::Pending, "not woken: no poll");
    ring();
    assert_eq!((task.0.load(Ordering::SeqCst), other.0.load(Ordering::SeqCst)), (1, 1));
    assert_eq!(poll(&other_waker), Poll::Ready(4), "polled four times in all");
}
