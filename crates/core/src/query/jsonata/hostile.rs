//! Expressions that are meant to hurt: each ends with an error in bounded time, and the process lives.
//!
//! The list has the expressions that stopped or killed the library of earlier days, and more of their kind.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::worked::Worked;
use super::tests::{World, entropy};
use super::*;

/// Processor time, far above that of any evaluation: a busy machine does not count, but the build may be an unoptimized
/// one.
const PATIENCE: Duration = Duration::from_secs(if cfg!(debug_assertions) { 60 } else { 3 });

/// Bytes of stack that an evaluation or a compilation needs at most; frames of an unoptimized build are several times
/// as large.
const STACK: usize = if cfg!(debug_assertions) { 2 << 20 } else { 512 << 10 };

/// Bytes that an evaluation holds at most: its own limit, and a little beside it for a search or a growing text.
const MEMORY: usize = (64 << 20) + (2 << 20);

fn on_a_small_stack<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work);
        thread.unwrap().join().unwrap()
    })
}

/// A tenth of the work in an unoptimized build, which takes ten times as long for it.
fn limits() -> Limits {
    let usual = Limits::default();
    Limits { steps: if cfg!(debug_assertions) { usual.steps / 10 } else { usual.steps }, ..usual }
}

fn attack(text: &str) -> Result<Value, QueryError> {
    let world = World {
        input: json!({"big": "x".repeat(200_000), "rows": (0..20_000).collect::<Vec<_>>()}),
        ..World::default()
    };
    let expression = Expression::compile(text).unwrap();
    let (outcome, taken, memory) = on_a_small_stack(|| {
        let start = Worked::now();
        let (outcome, memory) =
            counting::taken(|| expression.evaluate(&Bindings::new(&world), &mut entropy(1), &limits()));
        (outcome, start.elapsed(), memory.most)
    });
    println!(
        "{taken:>10.1?} {:>3} MiB  {}  {:.100}",
        memory >> 20,
        text.chars().take(70).collect::<String>(),
        outcome.as_ref().map_or_else(ToString::to_string, |v| format!("= {:.40}", v.to_string()))
    );
    assert!(taken < PATIENCE, "{taken:?}: {text}");
    assert!(memory <= MEMORY, "{memory} bytes: {text}");
    outcome
}

fn bounded(text: &str) {
    let outcome = attack(text);
    assert!(matches!(outcome, Err(QueryError::Bound { .. })), "{text}: {:.200}", format!("{outcome:?}"));
}

fn survived(text: &str) -> Result<Value, QueryError> {
    attack(text)
}

/// A value of 2^30 nodes in 30 allocations, as `$big`.
fn shared_tree(then: &str) -> String {
    format!("($big := $reduce([1..30], function($a, $i){{ {{'a': $a, 'b': $a}} }}, 1); {then})")
}

/// A value nested `depth` levels, as `$deep`.
fn deep_value(depth: usize, then: &str) -> String {
    format!("($deep := $reduce([1..{depth}], function($a, $i){{ {{'a': $a}} }}, 1); {then})")
}

#[test]
fn shared_values_do_not_unfold() {
    bounded(&shared_tree("$big"));
    bounded(&shared_tree("$big = $reduce([1..30], function($a, $i){ {'a': $a, 'b': $a} }, 1)"));
    bounded(&shared_tree("$string($big)"));
    bounded(&shared_tree("$string($big, true)"));
    bounded(&shared_tree("$count($big.**)"));
    bounded(&shared_tree("$distinct([$big, $reduce([1..30], function($a, $i){ {'a': $a, 'b': $a} }, 1)])"));
    _ = survived(&shared_tree("$big in [$reduce([1..30], function($a, $i){ {'a': $a, 'b': $a} }, 1)]"));
    bounded(&shared_tree("$big ~> |**|{'c': 1}|"));
    _ = survived(&shared_tree("$boolean($big)"));
    // Without a function: each step doubles.
    bounded(&format!("$states.input{}", ".{'a': $, 'b': $}".repeat(40)));
    bounded(&format!("$string([{}])", vec!["$states.input.big"; 2000].join(",")));
}

#[test]
fn deep_values_do_not_overflow_the_stack() {
    bounded(&deep_value(5_000, "$deep"));
    bounded(&deep_value(100_000, "$deep"));
    _ = survived(&deep_value(100_000, "$string($deep)"));
    _ = survived(&deep_value(100_000, "$deep = $deep"));
    _ = survived(&deep_value(100_000, "$count($deep.**)"));
    _ = survived(&deep_value(100_000, "$boolean($deep)"));
    _ = survived(&deep_value(100_000, "$deep ~> |*|{'c': 1}|"));
    _ = survived(&deep_value(100_000, "$sort([$deep, $deep])"));
    _ = survived(&deep_value(100_000, "$sum($deep)"));
    _ = survived(&deep_value(100_000, "$append($deep, $deep)[0] = 1"));
    _ = survived(&deep_value(100_000, "$error($string($deep))"));
    _ = survived(&deep_value(100_000, "$number($deep)"));
    _ = survived(&deep_value(100_000, "$deep & 'a'"));
    _ = survived(&deep_value(100_000, "{$deep: 1}"));
}

#[test]
fn strings_do_not_grow_without_end() {
    bounded("$pad('x', 2000000000)");
    bounded("$pad('x', -2000000000)");
    bounded("$pad('x', 1e8)");
    bounded("$replace($states.input.big, 'x', $states.input.big)");
    bounded("$replace($states.input.big, /x/, $states.input.big)");
    bounded("$replace($states.input.big, /x/, function($m){ $states.input.big })");
    bounded("$replace($states.input.big, 'x', $states.input.big, 100000)");
    bounded("$join($states.input.rows.$string(), $states.input.big)");
    bounded("($f := function($s){ $f($s & $s) }; $f('x'))");
    bounded("$reduce([1..100], function($s, $i){ $s & $s }, 'x')");
    bounded("$map($states.input.rows, function($i){ $states.input.big & $i })");
    bounded("$states.input.rows.($string($) & $$big)".replace("$$big", "$states.input.big").as_str());
    bounded("$formatInteger(1e18, 'I')");
    bounded("($map([1..10000], function($i){ $uppercase($states.input.big) }))");
    bounded("($map([1..10000], function($i){ $split($states.input.big, '') }))");
}

#[test]
fn pictures_do_not_explode() {
    bounded(&format!("$formatNumber(1e300, '#,##0.{}')", "0".repeat(100_000)));
    bounded("$fromMillis(0, '[Y,1000000000-1000000000]')");
    bounded("$fromMillis(0, '[D,1000000000]')");
    bounded("$formatInteger(1, $pad('0', 1000000, '0'))");
    bounded("$toMillis('1', '[Y,99999999-99999999]')");
    _ = survived("$formatNumber(1e300, '#,##0.00')");
    _ = survived("$formatInteger(1e300, 'w')");
    _ = survived("$formatInteger(1e300, 'A')");
    _ = survived("$formatBase(1e300, 2)");
    _ = survived("$fromMillis(1e300)");
    _ = survived("$fromMillis(-1e15, '[Y]')");
}

#[test]
fn recursion_and_loops_end() {
    bounded("($f := function(){ $f() }; $f())");
    bounded("($f := function($n){ 1 + $f($n + 1) }; $f(1))");
    bounded("($a := function(){ $b() }; $b := function(){ $a() }; $a())");
    bounded("($fib := function($n){ $n < 2 ? $n : $fib($n - 1) + $fib($n - 2) }; $fib(40))");
    bounded("(function($x){ $x($x) })(function($x){ $x($x) })");
    bounded("$map([1..400000], function($i){ $map([1..400000], function($j){ $j }) })");
    bounded("$states.input.rows.($states.input.rows)");
    bounded("$count($states.input.rows[$count($states.input.rows[$ > 5]) > 3])");
    bounded("[1..9000000]");
    bounded("$range(0, 1e12, 1)");
    _ = survived("$range(0, 1, 1e-300)");
    _ = survived("[1..1e300]");
    bounded("$reduce([1..40], function($a, $i){ $append($a, $a) }, [1])");
    bounded(
        "$zip($map([1..1000], function($i){ [1..1000] }), 1) ~> $map(function($x){ $map([1..100000], function($y){ $x }) })",
    );
}

#[test]
fn quadratic_builtins_end() {
    bounded("$distinct([1..50000].{'a': $})");
    _ = survived("$distinct([1..100000])");
    _ = survived("$sort([1..20000].($states.input.big))");
    _ = survived("$sort([1..100000], function($l, $r){ $random() > 0.5 })");
    _ = survived("$shuffle([1..400000])");
    _ = survived("$spread($states.input)");
    _ = survived("$merge([1..50000].{$string($): $})");
    bounded("$sift($merge([1..50000].{$string($): $}), function($v){ $count($distinct($states.input.rows)) > 0 })");
}

#[test]
fn compiling_ends_on_a_small_stack() {
    on_a_small_stack(|| {
        for part in [
            "(",
            "[",
            "{",
            "-",
            "1+",
            "$a.",
            "$a[",
            "function(){",
            "$f(",
            "$a?",
            "'",
            "`",
            "/",
            "$a~>",
            "$a^(",
            "|",
            "$x:=",
            "{'a':",
        ] {
            for repeats in [400, 900, 60_000] {
                let start = Worked::now();
                let text = part.repeat(repeats.min(128 * 1024 / part.len()));
                let _ = Expression::compile(&text);
                let _ = Expression::compile(&format!(
                    "{text}1{}",
                    text.replace('(', ")").replace('[', "]").replace('{', "}")
                ));
                assert!(start.elapsed() < PATIENCE, "{part} x {repeats}: {:?}", start.elapsed());
            }
        }
    });
    let nested = |depth: usize| format!("{}$states.input.big{}", "(".repeat(depth), ")".repeat(depth));
    assert!(survived(&nested(120)).is_ok());
    assert!(Expression::compile(&nested(300)).unwrap_err().message.contains("U1002"));
    assert_eq!(survived(&format!("1{}", "+1".repeat(60_000))), Ok(json!(60_001)));
    _ = survived(&format!("({})", "$a := [1..400000];".repeat(2000)));
}

#[test]
fn regular_expressions_end() {
    _ = survived("$match($states.input.big, /^(x+)+$/)");
    _ = survived("$match($states.input.big, /(x?){50}y/)");
    _ = survived("$contains($states.input.big, /(x*)*(x*)*(x*)*y/)");
    _ = survived("$contains($states.input.big, /(?:x{0,50}){0,20}y/)");
    let refused = Expression::compile("$contains($states.input.big, /((a{1000}){1000}){1000}/)").unwrap_err();
    assert!(refused.message.contains("524288 bytes as a program"), "{refused}");
    _ = survived("$contains($replace($states.input.big, 'x', 'é'), /(?:\\b.{0,30}){0,10}\\bz/)");
    _ = survived("$contains($replace($states.input.big, 'x', 'é'), /(?:.{0,9}\\b){0,10}(?:.?){50}\\bz/)");
    _ = survived("$contains($replace($states.input.big, 'x', 'é '), /(?:\\w? ?\\b){0,300}\\bz/)");
    _ = survived("$match($states.input.big, /x/)");
    _ = survived("$split($states.input.big, /x/)");
    _ = survived("$map([1..100000], function($i){ $contains('a', /(a|b|c|d){200}/) })");
}

#[test]
fn joins_groups_and_transforms_end() {
    _ = survived("[1..20000].{'a': $} ~> |$|{'z': 1}|");
    bounded("$states.input.rows@$a.$states.input.rows@$b.{'a': $a, 'b': $b}");
    _ = survived("[1..300000]{$string($): $}");
    bounded("[1..300000]^(>$ + $count($states.input.rows[$ > 3]))");
    _ = survived("$states.input.rows[$ in $states.input.rows]");
    bounded("$states.input.rows[$states.input.big & 'a' < $states.input.big & 'b']");
    _ = survived(&format!("$map([1..100000], function($i){{ function(){{ [{}] }} }})", vec!["$i"; 20_000].join(",")));
    bounded("$map([1..100000], function($i){ $map([1..100000], function($j){ function(){ $i + $j } }) })");
}

#[test]
fn a_bad_neighbour_leaves_the_thread_as_it_was() {
    bounded("[1..9000000]");
    assert_eq!(attack("$sum($states.input.rows)"), Ok(json!(199_990_000)));
    _ = survived("$formatInteger(5, '0#0,,')");
    assert_eq!(attack("$join(['a', 'b'], '-')"), Ok(json!("a-b")));
}

#[test]
fn each_bound_names_itself() {
    let limits = Limits::default();
    let says = |text: &str, words: &str| {
        let expression = Expression::compile(text).unwrap();
        let outcome = expression.evaluate(&Bindings::new(&World::default()), &mut entropy(1), &limits);
        let Err(QueryError::Bound { message }) = outcome else { panic!("{text} is not bounded") };
        assert!(message.contains(words), "{text}: {message}");
    };
    says("($f := function(){ $f() }; $f())", "10000000 steps of work");
    says("[1..9000000]", "larger than 1048576 bytes");
    says("$reduce([1..40], function($a, $i){ $append($a, $a) }, [1])", "memory limit exceeded");
    says("($f := function($n){ 1 + $f($n + 1) }; $f(1))", "Stack overflow error: Check for non-terminating");
    says("$pad('x', 1e9)", "string of more than 8388608 bytes");
    says(&shared_tree("$big"), "larger than 1048576 bytes");
    says(&deep_value(150, "$deep"), "deeper than 100 levels");
    says(&deep_value(500, "$deep"), "deeper than 200 levels");
}
