//! The alarm of a task that hours may pass for. On Linux the kernel keeps it (`timerfd`): as long as
//! one of tokio's timers is set, every wait for I/O sets one in the kernel anew, which a server with
//! few connections would pay for with each message. What the alarm is for is not known here.

use tokio::time::{Instant, sleep_until};

#[derive(Debug)]
pub(super) struct Alarm {
    #[cfg(target_os = "linux")]
    timer: Option<linux::Timer>,
}

impl Alarm {
    /// An alarm for this task, whose runtime has to drive I/O.
    pub(super) fn new() -> Self {
        Self {
            #[cfg(target_os = "linux")]
            timer: linux::Timer::new().ok(),
        }
    }

    /// Waits until then, or a moment longer.
    ///
    /// # Cancel safety
    /// When the future is dropped, the alarm does not ring.
    pub(super) async fn ring_at(&self, at: Instant) {
        #[cfg(target_os = "linux")]
        if let Some(timer) = &self.timer
            && !linux::time_stands_still()
            && timer.ring_at(at).await.is_ok()
        {
            return;
        }
        // Elsewhere, and where there is no file descriptor left.
        sleep_until(at).await;
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };
    use std::hint::spin_loop;
    use std::io;
    use std::time::Duration;
    use tokio::net::unix::pipe::Receiver;
    use tokio::time::Instant;

    /// It is read like a pipe, into which the kernel writes how often it has gone off.
    #[derive(Debug)]
    pub(super) struct Timer(Receiver);

    impl Timer {
        pub(super) fn new() -> io::Result<Self> {
            let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
            let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
            Receiver::from_owned_fd_unchecked(timer).map(Self)
        }

        pub(super) async fn ring_at(&self, at: Instant) -> io::Result<()> {
            self.set(at.saturating_duration_since(Instant::now()))?;
            loop {
                self.0.readable().await?;
                match self.0.try_read(&mut [0; 8]) {
                    // What was ready was the alarm before.
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    read => return read.map(drop),
                }
            }
        }

        fn set(&self, wait: Duration) -> io::Result<()> {
            let never = Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            };
            let once = Itimerspec {
                it_interval: never,
                // Nothing at all would unset it.
                it_value: wait
                    .max(Duration::from_nanos(1))
                    .try_into()
                    .unwrap_or(Timespec {
                        tv_sec: i64::MAX,
                        tv_nsec: 0,
                    }),
            };
            timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &once)?;
            Ok(())
        }
    }

    /// Whether tokio's time is not the kernel's: in tests it may be paused, and goes on only as far
    /// as the timers that tokio knows of.
    pub(super) fn time_stands_still() -> bool {
        let (before, began) = (Instant::now(), std::time::Instant::now());
        while began.elapsed() < Duration::from_micros(1) {
            spin_loop();
        }
        Instant::now() == before
    }
}

#[cfg(test)]
mod tests {
    use super::Alarm;
    use std::time::Duration;
    use tokio::time::{Instant, timeout};

    #[tokio::test]
    async fn it_rings_when_it_is_time_and_can_be_set_again() {
        let alarm = Alarm::new();
        for wait in [0, 1, 20] {
            let at = Instant::now() + Duration::from_millis(wait);
            alarm.ring_at(at).await;
            assert!(Instant::now() >= at);
        }
    }

    #[tokio::test]
    async fn an_alarm_that_is_dropped_does_not_ring_for_the_next() {
        let alarm = Alarm::new();
        let long = Duration::from_secs(3600);
        for _ in 0..3 {
            // It goes off behind nobody's back, or is unset.
            let soon = Instant::now() + Duration::from_millis(1);
            let _ = timeout(Duration::from_micros(10), alarm.ring_at(soon)).await;
            tokio::time::sleep(Duration::from_millis(5)).await;
            let rung = timeout(Duration::from_millis(20), alarm.ring_at(soon + long)).await;
            assert!(rung.is_err(), "it is not time yet");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn where_time_is_paused_it_rings_at_once() {
        let began = std::time::Instant::now();
        let at = Instant::now() + Duration::from_secs(3600);
        Alarm::new().ring_at(at).await;
        assert!(Instant::now() >= at && began.elapsed() < Duration::from_secs(60));
    }
}
