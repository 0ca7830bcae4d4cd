//! Values there and back.

use std::collections::BTreeMap;

use peers_proto::codec::{CodecError, decode, encode, validate};
use peers_proto::limits::{MAX_ELEMENTS, MAX_MESSAGE};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

/// Any MessagePack value that serde can name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Value {
    Nil(()),
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Value>),
    Map(BTreeMap<String, Value>),
}

pub(crate) fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Nil(())),
        any::<bool>().prop_map(Value::Bool),
        (0..64u32, any::<i64>()).prop_map(|(shift, bits)| Value::Int(bits >> shift)),
        any::<f64>().prop_filter("equal to itself", |f| !f.is_nan()).prop_map(Value::Float),
        ".{0,40}".prop_map(Value::Text),
    ];
    leaf.prop_recursive(5, 200, 20, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..20).prop_map(Value::List),
            prop::collection::btree_map(".{0,12}", inner, 0..20).prop_map(Value::Map),
        ]
    })
}

impl Value {
    fn elements(&self) -> usize {
        match self {
            Self::List(list) => 1 + list.iter().map(Self::elements).sum::<usize>(),
            Self::Map(map) => 1 + map.values().map(|v| 1 + v.elements()).sum::<usize>(),
            _ => 1,
        }
    }

    fn depth(&self) -> usize {
        match self {
            Self::List(list) => 1 + list.iter().map(Self::depth).max().unwrap_or(0),
            Self::Map(map) => 1 + map.values().map(Self::depth).max().unwrap_or(0),
            _ => 0,
        }
    }
}

proptest! {
    // proves S012
    #[test]
    fn values_round_trip_as_messagepack(value in any_value()) {
        let bytes = encode(&value)?;
        prop_assert_eq!(decode::<Value>(&bytes)?, value);
    }

    #[test]
    fn validator_counts_what_the_value_holds(value in any_value()) {
        let shape = validate(&encode(&value)?)?;
        prop_assert_eq!((shape.elements, shape.depth), (value.elements(), value.depth()));
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Photo {
    name: String,
    pixels: Vec<u8>,
}

/// The same object after an update of the app.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct NewerPhoto {
    name: String,
    pixels: Vec<u8>,
    place: Option<(f64, f64)>,
}

#[test]
fn struct_is_a_map_of_its_field_names_and_bytes_are_a_byte_string() {
    let photo = Photo { name: "cat".into(), pixels: vec![1, 2, 3] };
    let bytes = encode(&photo).unwrap();
    assert_eq!(bytes, b"\x82\xa4name\xa3cat\xa6pixels\xc4\x03\x01\x02\x03");
    assert_eq!(decode(&bytes), Ok(photo));
}

#[test]
fn field_that_the_reader_does_not_know_is_skipped() {
    let newer = NewerPhoto { name: "cat".into(), pixels: vec![1], place: Some((47.0, 8.5)) };
    let older = decode(&encode(&newer).unwrap());
    assert_eq!(older, Ok(Photo { name: "cat".into(), pixels: vec![1] }));
}

#[test]
fn bytes_up_to_the_largest_object_are_one_element() {
    let bytes = vec![0u8; MAX_MESSAGE - 5];
    assert_eq!(decode::<Vec<u8>>(&encode(&bytes).unwrap()), Ok(bytes));
}

#[test]
fn object_of_another_type_is_named_but_not_quoted() {
    let error = decode::<Photo>(&encode("secret").unwrap()).unwrap_err();
    assert!(matches!(error, CodecError::NotA(name) if name.ends_with("Photo")), "{error:?}");
    assert!(!error.to_string().contains("secret"));
}

#[test]
fn sender_is_told_what_the_receiver_would_refuse() {
    assert_eq!(encode(&vec![0u8; MAX_MESSAGE]), Err(CodecError::TooLarge));
    assert_eq!(encode(&vec![0u32; MAX_ELEMENTS]), Err(CodecError::TooManyElements));
    assert_eq!(encode(&BTreeMap::from([(1, 2)])), Err(CodecError::KeyNotString));
    let deep = (0..40).fold(Value::Int(1), |inner, _| Value::List(vec![inner]));
    assert_eq!(encode(&deep), Err(CodecError::TooDeep));
}

#[test]
fn encoding_stops_at_the_limit_instead_of_growing() {
    let big: Vec<&str> = vec!["0123456789abcdef0123456789abcdef"; 2 * MAX_MESSAGE / 32];
    let (result, peak) = crate::memory::peak(|| encode(&big));
    assert_eq!(result, Err(CodecError::TooLarge));
    assert!(peak <= 3 * MAX_MESSAGE, "{peak}");
}

#[test]
fn type_that_cannot_be_serialised_is_a_typed_error() {
    struct Stubborn;
    impl Serialize for Stubborn {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("no"))
        }
    }
    assert!(matches!(encode(&Stubborn), Err(CodecError::CannotEncode(_))));
}
