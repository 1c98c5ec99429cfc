//! Reads a profile of callgrind: how many instructions one program's own code ran, and how often it called another's.
//! What the C library does inside a call differs from system to system, so it is not counted; that it is called, is.

/// What one profile holds of one object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) instructions: u64,
    pub(crate) calls: u64,
}

/// Sums up the object whose file is called `object`. The names in the profile must not be compressed.
pub(crate) fn count(profile: &str, object: &str) -> Result<Count, String> {
    let own = |path: &str| path.rsplit('/').next() == Some(object);
    let mut count = Count::default();
    let mut inside = false;
    let mut callee_is_own = None;
    let mut lines = profile.lines().skip_while(|line| !line.starts_with("ob="));
    while let Some(line) = lines.next() {
        let number = |at: usize| {
            let field = line.split([' ', '=']).nth(at);
            field
                .and_then(|field| field.parse::<u64>().ok())
                .ok_or_else(|| format!("no number in {line:?}"))
        };
        if let Some(path) = line.strip_prefix("ob=") {
            inside = own(path);
        } else if let Some(path) = line.strip_prefix("cob=") {
            callee_is_own = Some(own(path));
        } else if line.starts_with("calls=") {
            // Without its own `cob=` a callee is in the caller's object. The next line is the cost inside the callee.
            if inside && !callee_is_own.take().unwrap_or(true) {
                count.calls += number(1)?;
            }
            callee_is_own = None;
            lines.next();
        } else if line.starts_with(|first: char| first.is_ascii_digit()) && inside {
            count.instructions += number(1)?;
        }
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROFILE: &str = "\
version: 1
events: Ir
summary: 1000

ob=/x/target/release/hot_paths
fl=a.rs
fn=one
10 5
11 7
cob=/lib/libc.so.6
cfi=???
cfn=malloc
calls=3 0
11 600
cfn=two
calls=2 20
12 40
fn=two
20 40

ob=/lib/libc.so.6
fl=???
fn=malloc
0 600
cob=/lib/ld.so
cfn=x
calls=9 0
0 1
";

    #[test]
    fn only_the_objects_own_instructions_and_its_calls_of_others_are_counted() {
        let of = |object| count(PROFILE, object).unwrap();
        let own = Count {
            instructions: 52,
            calls: 3,
        };
        assert_eq!(of("hot_paths"), own);
        assert_eq!(
            of("libc.so.6"),
            Count {
                instructions: 600,
                calls: 9
            }
        );
        assert_eq!(of("paths"), Count::default());
    }

    #[test]
    fn a_line_without_its_number_is_an_error() {
        count("ob=/x\n12 nine\n", "x").unwrap_err();
    }
}
