//! The stack machine that a pickle is a program for.

use std::collections::HashMap;

use super::instruction::Instruction;
use super::rebuild::{build, persistent, reduce};
use super::{Graph, Input, Node, NodeId, PickleError, allowed};
use crate::CheckpointError;

/// Reads one pickle from `input`, up to its end, and gives its value.
pub(crate) fn load(input: &mut Input<'_>, graph: &mut Graph) -> Result<NodeId, CheckpointError> {
    let mut machine =
        Machine { graph, stack: Vec::new(), marks: Vec::new(), memo: HashMap::new(), position: 0 };
    loop {
        machine.position = input.position();
        let instruction = Instruction::read(input)?;
        let done = matches!(instruction, Instruction::Stop);
        let outcome = if done { machine.pop().map(Some) } else { machine.run(instruction) };
        match outcome {
            Ok(Some(value)) => return Ok(value),
            Ok(None) => {}
            Err(source) => return Err(input.fault_at(machine.position, source)),
        }
    }
}

struct Machine<'a> {
    graph: &'a mut Graph,
    stack: Vec<NodeId>,
    /// Heights of the stack at the marks.
    marks: Vec<usize>,
    memo: HashMap<u32, NodeId>,
    /// Where the instruction in hand begins.
    position: u64,
}

impl Machine<'_> {
    /// Runs any instruction but the last. Gives `None`; the value of a pickle is what `Stop` pops.
    fn run(&mut self, instruction: Instruction) -> Result<Option<NodeId>, PickleError> {
        match instruction {
            Instruction::None => self.push_new(Node::None)?,
            Instruction::Bool(value) => self.push_new(Node::Bool(value))?,
            Instruction::Int(value) => self.push_new(Node::Int(value))?,
            Instruction::Long(bytes) => self.push_new(integer(bytes))?,
            Instruction::Float(value) => self.push_new(Node::Float(value))?,
            Instruction::Text(text) => self.push_new(Node::Text(text))?,
            Instruction::Bytes(bytes) => self.push_new(Node::Bytes(bytes))?,
            Instruction::EmptyList => self.push_new(Node::List(Vec::new()))?,
            Instruction::EmptyTuple => self.push_new(Node::Tuple(Vec::new()))?,
            Instruction::EmptyDict => self.push_new(Node::Dict(Vec::new()))?,
            Instruction::EmptySet => self.push_new(Node::Set(Vec::new()))?,
            Instruction::TupleOf(count) => self.tuple_of(count)?,
            Instruction::List => self.collect(Node::List)?,
            Instruction::Tuple => self.collect(Node::Tuple)?,
            Instruction::FrozenSet => self.collect(Node::Set)?,
            Instruction::Dict => {
                let entries = pairs(&self.above_mark()?)?;
                self.push_new(Node::Dict(entries))?;
            }
            Instruction::Append => {
                let item = self.pop()?;
                self.extend(&[item])?;
            }
            Instruction::Appends | Instruction::AddItems => {
                let items = self.above_mark()?;
                self.extend(&items)?;
            }
            Instruction::SetItem => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.insert(&[key, value])?;
            }
            Instruction::SetItems => {
                let items = self.above_mark()?;
                self.insert(&items)?;
            }
            Instruction::Heading | Instruction::Stop => {}
            other => self.run_reference(other)?,
        }
        Ok(None)
    }

    /// What concerns the stack itself, the memo, and names.
    fn run_reference(&mut self, instruction: Instruction) -> Result<(), PickleError> {
        match instruction {
            Instruction::Mark => {
                self.graph.spend(8)?;
                self.marks.push(self.stack.len());
            }
            Instruction::Pop => self.pop_value_or_mark()?,
            Instruction::PopMark => drop(self.above_mark()?),
            Instruction::Duplicate => self.push(self.top()?)?,
            Instruction::Keep(index) => self.keep(index)?,
            Instruction::KeepNext => self.keep(self.memo.len() as u32)?,
            Instruction::Recall(index) => {
                let kept = self.memo.get(&index).copied();
                self.push(kept.ok_or(PickleError::UnknownMemo { index })?)?;
            }
            Instruction::Global { module, name } => self.name(&module, &name)?,
            Instruction::StackGlobal => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (name, module) = (self.text(name)?.to_owned(), self.text(module)?.to_owned());
                self.name(&module, &name)?;
            }
            Instruction::Reduce => {
                let (arguments, function) = (self.pop()?, self.pop()?);
                let value = reduce(self.graph, function, arguments, self.position)?;
                self.push(value)?;
            }
            Instruction::Build => {
                let state = self.pop()?;
                build(self.graph, self.top()?, state)?;
            }
            Instruction::Persistent => {
                let id = self.pop()?;
                let storage = persistent(self.graph, id)?;
                self.push(storage)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// The lowest place that may be popped: values below the last mark are out of reach.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn push(&mut self, value: NodeId) -> Result<(), PickleError> {
        self.graph.spend(size_of::<NodeId>() as u64)?;
        self.stack.push(value);
        Ok(())
    }

    fn push_new(&mut self, node: Node) -> Result<(), PickleError> {
        let value = self.graph.add(node)?;
        self.push(value)
    }

    fn top(&self) -> Result<NodeId, PickleError> {
        let value = self.stack[self.floor().min(self.stack.len())..].last();
        value.copied().ok_or(PickleError::MissingOperand)
    }

    fn pop(&mut self) -> Result<NodeId, PickleError> {
        let value = self.top()?;
        self.stack.pop();
        Ok(value)
    }

    fn pop_value_or_mark(&mut self) -> Result<(), PickleError> {
        if self.marks.last() == Some(&self.stack.len()) {
            self.marks.pop();
            return Ok(());
        }
        self.pop().map(drop)
    }

    /// Takes the last mark off, and what lies above it.
    fn above_mark(&mut self) -> Result<Vec<NodeId>, PickleError> {
        let mark = self.marks.pop().ok_or(PickleError::MissingMark)?;
        Ok(self.stack.split_off(mark))
    }

    fn tuple_of(&mut self, count: usize) -> Result<(), PickleError> {
        let first = self.stack.len().checked_sub(count).filter(|first| *first >= self.floor());
        let items = self.stack.split_off(first.ok_or(PickleError::MissingOperand)?);
        self.push_new(Node::Tuple(items))
    }

    fn collect(&mut self, node: fn(Vec<NodeId>) -> Node) -> Result<(), PickleError> {
        let items = self.above_mark()?;
        self.push_new(node(items))
    }

    fn extend(&mut self, new: &[NodeId]) -> Result<(), PickleError> {
        self.graph.spend(size_of_val(new) as u64)?;
        let container = self.top()?;
        match self.graph.node_mut(container) {
            Node::List(items) | Node::Set(items) => items.extend_from_slice(new),
            other => return Err(wrong_kind("what is appended to", "a list or a set", other)),
        }
        Ok(())
    }

    fn insert(&mut self, new: &[NodeId]) -> Result<(), PickleError> {
        self.graph.spend(size_of_val(new) as u64)?;
        let container = self.top()?;
        let new = pairs(new)?;
        match self.graph.node_mut(container) {
            Node::Dict(entries) => entries.extend(new),
            other => return Err(wrong_kind("what is inserted into", "a dict", other)),
        }
        Ok(())
    }

    fn keep(&mut self, index: u32) -> Result<(), PickleError> {
        self.graph.spend(16)?;
        let value = self.top()?;
        self.memo.insert(index, value);
        Ok(())
    }

    fn text(&self, id: NodeId) -> Result<&str, PickleError> {
        let node = self.graph.node(id);
        self.graph.text(id).ok_or_else(|| wrong_kind("a name", "a text", node))
    }

    fn name(&mut self, module: &str, name: &str) -> Result<(), PickleError> {
        match allowed::global(module, name) {
            Some(global) => self.push_new(Node::Global(global)),
            None => {
                Err(PickleError::ForbiddenName { module: module.to_owned(), name: name.to_owned() })
            }
        }
    }
}

/// Keys and values that lie side by side.
fn pairs(items: &[NodeId]) -> Result<Vec<(NodeId, NodeId)>, PickleError> {
    let (pairs, rest) = items.as_chunks();
    if !rest.is_empty() {
        return Err(PickleError::MissingOperand);
    }
    Ok(pairs.iter().map(|[key, value]| (*key, *value)).collect())
}

/// An integer out of its bytes, little endian in two's complement.
fn integer(bytes: Vec<u8>) -> Node {
    if bytes.len() > 8 {
        return Node::LongInt(bytes);
    }
    let negative = bytes.last().is_some_and(|last| last & 0x80 != 0);
    let mut extended = [if negative { 0xff } else { 0 }; 8];
    extended[..bytes.len()].copy_from_slice(&bytes);
    Node::Int(i64::from_le_bytes(extended))
}

pub(super) fn wrong_kind(what: &'static str, expected: &'static str, got: &Node) -> PickleError {
    PickleError::WrongKind { what, expected, got: got.kind() }
}
