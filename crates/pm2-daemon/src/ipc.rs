//! Node's IPC channel, seen from the parent: one JSON text per line.
//!
//! Bounded both ways: a line has a limit, the queue to an app has a limit, and an app that floods
//! its channel is held up by its own reader. The channel of a cluster worker is served by [`crate::cluster`].

mod channel;
mod lines;
mod message;
mod outbox;

pub(crate) use channel::{Channel, Ends, closed, open, thaw};
pub(crate) use lines::Lines;
pub(crate) use message::{AppMessage, Line, parse};
pub(crate) use outbox::{ChannelSender, Outbox, Written, outbox};

/// Messages that may wait for the job's task.
pub(crate) const MAX_INCOMING: usize = 64;

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use tokio::sync::mpsc;

    use super::outbox::{MAX_OUTGOING, SendError};
    use super::*;
    use crate::handover::{Bytes, Descriptors, MessageState};
    use crate::sys::channel_pair;

    fn ends() -> (Ends, UnixStream) {
        let (ours, theirs) = channel_pair().unwrap();
        (open(ours).unwrap(), theirs.into())
    }

    /// A channel whose tasks go on until its end.
    fn pair() -> (ChannelSender, mpsc::Receiver<AppMessage>, UnixStream) {
        let (ends, app) = ends();
        std::mem::forget(ends.channel);
        (ends.sender, ends.messages, app)
    }

    #[tokio::test]
    async fn lines_arrive_whole_whatever_the_chunks() {
        let (_sender, mut receiver, mut app) = pair();
        for chunk in ["\"re", "ady\"\n{\"a\":", "1}\n"] {
            app.write_all(chunk.as_bytes()).unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        assert_eq!(receiver.recv().await, Some(AppMessage::Ready));
        assert_eq!(receiver.recv().await, Some(AppMessage::Raw("{\"a\":1}".to_owned())));
        drop(app);
        assert_eq!(receiver.recv().await, None);
    }

    #[tokio::test]
    async fn an_app_that_does_not_read_gets_no_endless_queue() {
        let (sender, _receiver, app) = pair();
        let text = format!("\"{}\"", "x".repeat(4096));
        let mut result = Ok(());
        for _ in 0..=MAX_OUTGOING + 1 {
            result = sender.send(&text);
        }
        assert_eq!(result, Err(SendError::Full));
        drop(app);
    }

    #[tokio::test]
    async fn what_is_sent_is_one_line() {
        let (sender, _receiver, app) = pair();
        sender.send("{\"b\":2}").unwrap();
        let line = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            BufReader::new(app).read_line(&mut line).unwrap();
            line
        });
        assert_eq!(line.await.unwrap(), "{\"b\":2}\n");
    }

    async fn a_second_later() {
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(1)).await;
        tokio::time::resume();
    }

    #[tokio::test]
    async fn large_messages_to_an_app_that_does_not_read_are_refused() {
        let (sender, _receiver, app) = pair();
        let text = format!("\"{}\"", "x".repeat(10 * 1024 * 1024));
        assert_eq!(sender.send(&text), Ok(()));
        // It may only be slower.
        assert_eq!(sender.send(&text), Ok(()));
        a_second_later().await;
        assert_eq!(sender.send(&text), Err(SendError::Full));
        drop(app);
    }

    #[tokio::test]
    async fn an_answer_means_that_the_line_is_written_or_never_will_be() {
        let (ends, app) = ends();
        let send = |text: &str| {
            let (answer, answered) = tokio::sync::oneshot::channel();
            ends.sender.send_for(text, answer);
            answered
        };
        assert_eq!(send("1").await.unwrap(), Ok(String::new()));
        let large = format!("\"{}\"", "x".repeat(10 * 1024 * 1024));
        let (unread, waiting) = (send(&large), send("2"));
        // Until then what fits into the channel has been written.
        tokio::task::yield_now().await;
        a_second_later().await;
        assert_eq!(send(&large).await.unwrap(), Err(SendError::Full.to_string()));
        drop(app);
        let closed = Err(SendError::Closed.to_string());
        assert_eq!((unread.await.unwrap(), waiting.await.unwrap()), (closed.clone(), closed.clone()));
        assert_eq!(send("3").await.unwrap(), closed);
    }

    #[tokio::test]
    async fn what_is_handed_over_counts_as_written() {
        let (ends, app) = ends();
        let (answer, answered) = tokio::sync::oneshot::channel();
        ends.sender.send_for(&format!("\"{}\"", "x".repeat(1024 * 1024)), answer);
        tokio::task::yield_now().await;
        assert!(ends.channel.unwrap().freeze(&mut Descriptors::default()).await.is_some());
        assert_eq!(answered.await.unwrap(), Ok(String::new()));
        drop(app);
    }

    #[tokio::test]
    async fn an_interrupted_channel_loses_nothing() {
        let (before, mut app) = ends();
        let message = format!("{{\"a\":\"{}\"}}\n", "\u{e4}".repeat(150_000));
        let (begin, end) = message.as_bytes().split_at(100_001);
        // More than its job has room for, then half a message.
        for number in 0..2 * MAX_INCOMING {
            app.write_all(format!("{number}\n").as_bytes()).unwrap();
        }
        let Ends { sender, mut messages, channel } = before;
        let writing = tokio::task::spawn_blocking({
            let (mut app, begin) = (app.try_clone().unwrap(), begin.to_vec());
            move || app.write_all(&begin).unwrap()
        });
        let mut got = Vec::new();
        while got.len() < MAX_INCOMING / 2 {
            got.extend(messages.recv().await);
        }
        // The app does not read: most of it stays here.
        let lines: Vec<String> = (0..300).map(|number| format!("\"{number}{}\"", "x".repeat(2000))).collect();
        for line in &lines {
            sender.send(line).unwrap();
            tokio::task::yield_now().await;
        }
        let mut descriptors = Descriptors::default();
        let state = channel.unwrap().freeze(&mut descriptors).await.unwrap();
        assert!(!state.unsent.0.is_empty());
        let said = std::iter::from_fn(|| messages.try_recv().ok()).collect();
        let after = thaw(state, said, &mut descriptors).unwrap();
        assert!(descriptors.numbers().is_empty());
        let reading = tokio::task::spawn_blocking({
            let app = app.try_clone().unwrap();
            move || BufReader::new(app).lines().take(300).collect::<Result<Vec<_>, _>>().unwrap()
        });
        messages = after.messages;
        while got.len() < 2 * MAX_INCOMING {
            got.extend(messages.recv().await);
        }
        writing.await.unwrap();
        let end = end.to_vec();
        tokio::task::spawn_blocking(move || app.write_all(&end).unwrap()).await.unwrap();
        assert_eq!(messages.recv().await, Some(AppMessage::Raw(message.trim_end().to_owned())));
        let numbers = (0..2 * MAX_INCOMING).map(|number| AppMessage::Raw(number.to_string()));
        assert_eq!(got, numbers.collect::<Vec<_>>());
        assert_eq!(reading.await.unwrap(), lines);
        // All that was unsent has been given back to the limit.
        assert!(after.sender.send(&format!("\"{}\"", "x".repeat(16 * 1024 * 1024))).is_ok());
    }

    #[tokio::test]
    async fn a_closed_channel_is_not_handed_over() {
        let (ends, app) = ends();
        let Ends { mut messages, channel, .. } = ends;
        drop(app);
        assert_eq!(messages.recv().await, None);
        assert!(channel.unwrap().freeze(&mut Descriptors::default()).await.is_none());
        let mut closed = closed(vec![AppMessage::Ready, AppMessage::Online]);
        assert_eq!(closed.sender.send("1"), Err(SendError::Closed));
        assert_eq!(closed.messages.recv().await, Some(AppMessage::Ready));
        assert_eq!(closed.messages.recv().await, Some(AppMessage::Online));
        assert_eq!(closed.messages.recv().await, None);
    }

    #[tokio::test]
    async fn a_channel_that_nobody_owns_is_closed() {
        let (ends, mut app) = ends();
        drop(ends);
        let end = tokio::task::spawn_blocking(move || app.read(&mut [0]).unwrap());
        assert_eq!(end.await.unwrap(), 0);
    }

    #[test]
    fn every_message_comes_back() {
        let keys = ["null:80:4".to_owned()].into();
        for message in [
            AppMessage::Ready,
            AppMessage::NodeVersion("20".to_owned()),
            AppMessage::Typed { kind: "k".to_owned(), data: "{}".to_owned() },
            AppMessage::Raw("\"\"".to_owned()),
            AppMessage::Handle,
            AppMessage::Online,
            AppMessage::Done,
            AppMessage::Listening(keys),
        ] {
            let text = serde_json::to_string(&message.clone().freeze()).unwrap();
            let state: MessageState = serde_json::from_str(&text).unwrap();
            assert_eq!(AppMessage::thaw(state), message);
        }
        assert_eq!(serde_json::to_string(&Bytes(vec![255])).unwrap(), "\"\u{ff}\"");
    }
}
