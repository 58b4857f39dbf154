//! How a number of evaluations is shared out among steps.

use crate::Order;

/// Orders of the steps that use exactly `evaluations` evaluations: as many of the highest order as fit,
/// the last of lower order. Known as DPM-Solver-fast.
///
/// With order three, a number that three divides ends in a step of order two and one of order one, so
/// that the last step, where the data are nearly clean, is never of order three.
#[must_use]
pub fn exact_evaluations(order: Order, evaluations: usize) -> Vec<Order> {
    use Order::{One, Three, Two};
    if evaluations == 0 {
        return vec![];
    }
    let whole = evaluations / order.get();
    // Lu et al. 2022, sec. 3.4
    let (count, ending): (usize, &[Order]) = match (order, evaluations % order.get()) {
        (One, _) | (Two, 0) => (whole, &[]),
        (Three, 0) => (whole - 1, &[Two, One]),
        (Three, 2) => (whole, &[Two]),
        (Two | Three, _) => (whole, &[One]),
    };
    [vec![order; count], ending.to_vec()].concat()
}

/// Orders of as many whole steps as `evaluations` evaluations allow; a remainder is not used.
#[must_use]
pub fn fixed_order(order: Order, evaluations: usize) -> Vec<Order> {
    vec![order; evaluations / order.get()]
}

/// The same number of evaluations, the last of them a step of its own: what a grid needs that ends at
/// the data themselves, where lambda is infinite.
#[must_use]
pub fn ending_in_order_one(mut orders: Vec<Order>) -> Vec<Order> {
    if let Some(last) = orders.pop() {
        orders.extend(shorter(last));
        orders.push(Order::One);
    }
    orders
}

/// The same number of evaluations, the first of them a step of its own.
pub(super) fn starting_in_order_one(orders: &[Order]) -> Vec<Order> {
    let Some((first, rest)) = orders.split_first() else {
        return vec![];
    };
    let mut split = vec![Order::One];
    split.extend(shorter(*first));
    split.extend(rest);
    split
}

/// Whole steps of `order` on `intervals` intervals, the remainder as one step of lower order.
pub(super) fn filling(order: Order, intervals: usize) -> Vec<Order> {
    let mut orders = fixed_order(order, intervals);
    match intervals % order.get() {
        0 => {}
        1 => orders.push(Order::One),
        _ => orders.push(Order::Two),
    }
    orders
}

/// One order less, if there is one.
fn shorter(order: Order) -> Option<Order> {
    match order {
        Order::One => None,
        Order::Two => Some(Order::One),
        Order::Three => Some(Order::Two),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(orders: &[Order]) -> Vec<usize> {
        orders.iter().map(|order| order.get()).collect()
    }

    #[test]
    fn every_pattern_uses_every_evaluation() {
        for order in [Order::One, Order::Two, Order::Three] {
            for evaluations in 0..50 {
                for orders in [exact_evaluations(order, evaluations), filling(order, evaluations)] {
                    assert_eq!(numbers(&orders).iter().sum::<usize>(), evaluations);
                }
            }
        }
    }

    #[test]
    fn the_last_step_is_of_low_order() {
        let three = |evaluations| numbers(&exact_evaluations(Order::Three, evaluations));
        assert_eq!(three(9), [3, 3, 2, 1]);
        assert_eq!(three(10), [3, 3, 3, 1]);
        assert_eq!(three(11), [3, 3, 3, 2]);
        assert_eq!(numbers(&exact_evaluations(Order::Two, 5)), [2, 2, 1]);
    }

    #[test]
    fn an_end_of_order_one_is_split_off() {
        use Order::{One, Three, Two};
        assert_eq!(ending_in_order_one(vec![Three, Three]), [Three, Two, One]);
        assert_eq!(ending_in_order_one(vec![Three, One]), [Three, One]);
        assert_eq!(starting_in_order_one(&[Two, Three]), [One, One, Three]);
    }
}
