//! Calls: arguments, signatures, closures, partial application, tail calls.

use super::super::builtins::{self, Native};
use super::super::error::{Fault, Stop};
use super::super::syntax::signature::Signature;
use super::super::syntax::tree::{Kind, Lambda, Node, Sym};
use super::super::value::{Fun, Val};
use super::{Frame, Machine, Outcome};

/// Arguments; most calls have few.
pub(in crate::query::jsonata) struct Args<'e> {
    few: [Val<'e>; 4],
    len: usize,
    many: &'e [Val<'e>],
}

impl<'e> Args<'e> {
    fn as_slice(&self) -> &[Val<'e>] {
        if self.many.is_empty() { &self.few[..self.len] } else { self.many }
    }
}

/// How a call names its function in errors.
fn name_of<'p>(machine: &Machine<'p>, procedure: &'p Node) -> Option<&'p str> {
    match &procedure.kind {
        Kind::Variable(name) => Some(machine.program.symbols.name(*name)),
        _ => procedure.single_name(),
    }
}

fn named<T>(result: Result<T, Stop>, name: Option<&str>) -> Result<T, Stop> {
    result.map_err(|mut stop| {
        if let (Stop::Fault(fault), Some(name)) = (&mut stop, name) {
            fault.named(name);
        }
        stop
    })
}

impl<'e> Machine<'e> {
    /// Takes the values from the mark on as arguments.
    fn args(&mut self, mark: usize) -> Result<Args<'e>, Stop> {
        let pushed = self.heap.pushed(mark);
        let len = pushed.len();
        let mut few = [Val::Undefined; 4];
        if len <= few.len() {
            few[..len].copy_from_slice(pushed);
            self.heap.forget(mark);
            return Ok(Args { few, len, many: &[] });
        }
        Ok(Args { few, len, many: self.heap.take(mark)? })
    }

    /// The values of arguments. A call in tail position hands functions on as they are.
    fn evaluated(
        &mut self,
        args: &'e [Node],
        first: Option<Val<'e>>,
        tail: bool,
        input: Val<'e>,
        frame: &'e Frame<'e>,
    ) -> Result<Args<'e>, Stop> {
        let mut few = [Val::Undefined; 4];
        let given = usize::from(first.is_some());
        if given + args.len() <= few.len() {
            few[0] = first.unwrap_or(Val::Undefined);
            for (at, arg) in args.iter().enumerate() {
                let value = self.eval(arg, input, frame)?;
                few[given + at] = self.passed(value, tail)?;
            }
            return Ok(Args { few, len: given + args.len(), many: &[] });
        }
        let mark = self.heap.mark();
        if let Some(first) = first {
            self.heap.push(first)?;
        }
        for arg in args {
            let value = self.eval(arg, input, frame)?;
            let value = self.passed(value, tail)?;
            self.heap.push(value)?;
        }
        self.args(mark)
    }

    /// A function as an argument forgets its name, its signature's context and its place.
    fn passed(&mut self, value: Val<'e>, tail: bool) -> Outcome<'e> {
        match value {
            Val::Fun(Fun::Passed(_)) => Ok(value),
            Val::Fun(Fun::Lambda { .. }) if tail => Ok(value),
            Val::Native(_) | Val::Fun(_) => Ok(Val::Fun(self.heap.alloc(Fun::Passed(value))?)),
            value => Ok(value),
        }
    }

    /// Whether a bare name would be a function with a `$` before it.
    fn missing_dollar(&self, procedure: &'e Node, frame: &'e Frame<'e>) -> Option<&'e str> {
        let name = procedure.single_name()?;
        let symbols = &self.program.symbols;
        let bound = symbols.find(name).is_some_and(|sym| frame.lookup(sym).is_some());
        (bound || builtins::named(name).is_some()).then_some(name)
    }

    #[inline(never)]
    pub(super) fn call(
        &mut self,
        procedure: &'e Node,
        args: &'e [Node],
        first: Option<Val<'e>>,
        input: Val<'e>,
        frame: &'e Frame<'e>,
    ) -> Outcome<'e> {
        let function = self.eval(procedure, input, frame)?;
        if function.is_undefined()
            && let Some(name) = self.missing_dollar(procedure, frame)
        {
            return Err(Fault::new("T1005").token(name).into());
        }
        let args = self.evaluated(args, first, false, input, frame)?;
        let value = self.apply(function, args.as_slice(), input);
        named(value, name_of(self, procedure))
    }

    /// Calls a function that is an argument of a function. A closure has the context in which it was written.
    pub(in crate::query::jsonata) fn call_back(&mut self, function: Val<'e>, args: &[Val<'e>]) -> Outcome<'e> {
        let input = match function {
            Val::Fun(Fun::Lambda { input, .. }) => *input,
            _ => Val::Null,
        };
        self.apply(function, args, input)
    }

    /// Calls a function. `input` is the context that a left-out argument stands for.
    pub(in crate::query::jsonata) fn apply(
        &mut self,
        function: Val<'e>,
        args: &[Val<'e>],
        input: Val<'e>,
    ) -> Outcome<'e> {
        let (mut function, mut input) = (function, input);
        if let Val::Fun(Fun::Passed(inner)) = function {
            (function, input) = (*inner, Val::Null);
        }
        let mut value = self.apply_once(function, args, input)?;
        while let Val::Tail = value {
            let Some(parked) = self.parked.take() else { return Ok(Val::Undefined) };
            let Kind::Call { procedure, args, .. } = &parked.call.kind else { return Ok(Val::Undefined) };
            self.budget.step(1)?;
            function = self.eval(procedure, parked.input, parked.frame)?;
            let args = self.evaluated(args, None, true, parked.input, parked.frame)?;
            if let Val::Fun(Fun::Passed(inner)) = function {
                (function, input) = (*inner, Val::Null);
            }
            let next = self.apply_once(function, args.as_slice(), input);
            value = named(next, name_of(self, procedure))?;
        }
        Ok(value)
    }

    #[inline(never)]
    fn apply_once(&mut self, function: Val<'e>, args: &[Val<'e>], input: Val<'e>) -> Outcome<'e> {
        self.budget.step(1)?;
        match function {
            Val::Native(native) => self.native(native, args, input),
            Val::Fun(Fun::Lambda { lambda, input: own, frame }) => {
                let checked = self.checked(lambda.signature.as_ref(), args, input)?;
                let args = checked.as_ref().map_or(args, Args::as_slice);
                self.enter_lambda(lambda, &lambda.params, args, *own, frame)
            }
            Val::Fun(Fun::Partial { lambda, input: own, frame, open }) => {
                self.enter_lambda(lambda, open, args, *own, frame)
            }
            Val::Fun(function) => {
                self.budget.enter()?;
                let value = self.wrapped(function, args, input)?;
                self.budget.leave();
                Ok(value)
            }
            _ => Err(Fault::new("T1006").into()),
        }
    }

    #[inline(never)]
    fn wrapped(&mut self, function: &'e Fun<'e>, args: &[Val<'e>], input: Val<'e>) -> Outcome<'e> {
        let argument = |at: usize| args.get(at).copied().unwrap_or(Val::Undefined);
        match function {
            Fun::Chain(one, other) => {
                let between = self.apply(*one, &[argument(0)], Val::Null)?;
                let between = self.settled(between, false)?;
                let between = self.passed(between, false)?;
                self.apply(*other, &[between], Val::Null)
            }
            Fun::PartialNative { target, args: bound } => {
                let mark = self.heap.mark();
                let mut open = args.iter();
                for value in *bound {
                    let value = value.or_else(|| open.next().copied()).unwrap_or(Val::Undefined);
                    self.heap.push(value)?;
                }
                let args = self.args(mark)?;
                match target {
                    Val::Native(native) => (native.run)(self, args.as_slice()),
                    other => self.apply(*other, args.as_slice(), Val::Null),
                }
            }
            Fun::Regex(pattern) => {
                let from = argument(1).num().unwrap_or(0.0);
                builtins::regex::find_from(self, pattern, argument(0), from)
            }
            Fun::Next { pattern, text, from } => builtins::regex::next(self, pattern, text, *from),
            Fun::Transform { transform, frame } => self.transform(transform, frame, args, input),
            Fun::Lambda { .. } | Fun::Partial { .. } | Fun::Passed(_) => Ok(Val::Undefined),
        }
    }

    fn checked(
        &mut self,
        signature: Option<&'e Signature>,
        args: &[Val<'e>],
        input: Val<'e>,
    ) -> Result<Option<Args<'e>>, Stop> {
        let Some(signature) = signature else { return Ok(None) };
        if signature.fits(self, args)? {
            return Ok(None);
        }
        let mark = self.heap.mark();
        signature.apply(self, args, input)?;
        self.args(mark).map(Some)
    }

    #[inline(never)]
    fn native(&mut self, native: &'static Native, args: &[Val<'e>], input: Val<'e>) -> Outcome<'e> {
        match self.checked(Some(native.signature()), args, input)? {
            Some(args) => (native.run)(self, args.as_slice()),
            None => (native.run)(self, args),
        }
    }

    #[inline(never)]
    fn enter_lambda(
        &mut self,
        lambda: &'e Lambda,
        params: &'e [Sym],
        args: &[Val<'e>],
        input: Val<'e>,
        frame: &'e Frame<'e>,
    ) -> Outcome<'e> {
        let frame = if params.is_empty() && !lambda.binds { frame } else { self.heap.frame(frame)? };
        for (at, param) in params.iter().enumerate() {
            let value = args.get(at).copied().unwrap_or(Val::Undefined);
            self.heap.bind(frame, *param, value)?;
        }
        self.eval(&lambda.body, input, frame)
    }

    #[inline(never)]
    pub(super) fn partial(
        &mut self,
        procedure: &'e Node,
        args: &'e [Option<Node>],
        input: Val<'e>,
        frame: &'e Frame<'e>,
    ) -> Outcome<'e> {
        let mark = self.heap.mark();
        for arg in args {
            let value = match arg {
                Some(arg) => self.eval(arg, input, frame)?,
                None => Val::Tail,
            };
            self.heap.push(value)?;
        }
        let given = self.heap.take(mark)?;
        let function = self.eval(procedure, input, frame)?;
        let (lambda, own, outer, params) = match function {
            Val::Fun(Fun::Lambda { lambda, input, frame }) => (*lambda, *input, *frame, &lambda.params[..]),
            Val::Fun(Fun::Partial { lambda, input, frame, open }) => (*lambda, *input, *frame, *open),
            Val::Native(_) | Val::Fun(_) => return self.partial_native(function, given),
            _ => {
                if function.is_undefined()
                    && let Some(name) = self.missing_dollar(procedure, frame)
                {
                    return Err(Fault::new("T1007").token(name).into());
                }
                return Err(Fault::new("T1008").into());
            }
        };
        let inner = self.heap.frame(outer)?;
        let mut open = Vec::new();
        for (at, param) in params.iter().enumerate() {
            match given.get(at) {
                Some(Val::Tail) => open.push(*param),
                Some(value) => self.heap.bind(inner, *param, *value)?,
                None => self.heap.bind(inner, *param, Val::Undefined)?,
            }
        }
        let open = self.heap.slice(&open)?;
        Ok(Val::Fun(self.heap.alloc(Fun::Partial { lambda, input: own, frame: inner, open })?))
    }

    fn partial_native(&mut self, target: Val<'e>, given: &'e [Val<'e>]) -> Outcome<'e> {
        let mut args = [None; 8];
        let arity = arity(target).min(args.len());
        for (at, arg) in args.iter_mut().enumerate().take(arity) {
            *arg = match given.get(at) {
                Some(Val::Tail) => None,
                Some(value) => Some(*value),
                None => Some(Val::Undefined),
            };
        }
        let args = self.heap.slice(&args[..arity])?;
        Ok(Val::Fun(self.heap.alloc(Fun::PartialNative { target, args })?))
    }
}

/// How many arguments a function takes, as functions that call it see it.
pub(in crate::query::jsonata) fn arity(function: Val<'_>) -> usize {
    match function {
        Val::Native(native) => native.arity,
        Val::Fun(Fun::Lambda { lambda, .. }) => lambda.params.len(),
        Val::Fun(Fun::Partial { open, .. }) => open.len(),
        Val::Fun(Fun::PartialNative { args, .. }) => args.iter().filter(|arg| arg.is_none()).count(),
        Val::Fun(Fun::Passed(inner)) => arity(*inner),
        Val::Fun(Fun::Regex(_)) => 2,
        Val::Fun(Fun::Chain(..) | Fun::Transform { .. }) => 1,
        _ => 0,
    }
}
