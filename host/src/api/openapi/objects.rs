//! Corrects schemas where utoipa describes another form than serde reads and writes.

use std::mem::take;

use utoipa::PartialSchema;
use utoipa::openapi::schema::{AdditionalProperties, AllOf, ArrayItems, Object, Schema};
use utoipa::openapi::{Components, RefOr};

/// The component that utoipa makes for an alias of a number type, such as [`CallNumber`](holdshort_gate::CallNumber).
const NUMBER: &str = "u32";

/// Puts every schema into the form that serde writes.
pub(super) fn plain(components: &mut Components) {
    components.schemas.remove(NUMBER);
    components.schemas.values_mut().for_each(schema);
}

fn schema(one: &mut RefOr<Schema>) {
    match one {
        RefOr::Ref(to) if to.ref_location.ends_with(&format!("/{NUMBER}")) => {
            let description = Some(take(&mut to.description)).filter(|text| !text.is_empty());
            *one = u32::schema();
            if let RefOr::T(Schema::Object(number)) = one {
                number.description = description;
            }
        }
        RefOr::Ref(_) => {}
        // No object has other members than those described.
        RefOr::T(Schema::Object(object)) => {
            if !object.properties.is_empty() {
                object.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
            }
            object.properties.values_mut().for_each(schema);
        }
        RefOr::T(Schema::Array(array)) => {
            if let ArrayItems::RefOrSchema(items) = &mut array.items {
                schema(items);
            }
        }
        RefOr::T(Schema::OneOf(any)) => any.items.iter_mut().for_each(schema),
        // utoipa describes an object that contains the members of another one (`flatten`) as `allOf`.
        RefOr::T(Schema::AllOf(all)) => {
            *one = RefOr::T(Schema::Object(flat(take(all))));
            schema(one);
        }
        RefOr::T(_) => {}
    }
}

/// One object with the members of all.
fn flat(all: AllOf) -> Object {
    let mut whole = Object::new();
    whole.description = all.description;
    for part in all.items {
        if let RefOr::T(Schema::Object(part)) = part {
            whole.properties.extend(part.properties);
            whole.required.extend(part.required);
        }
    }
    whole
}
