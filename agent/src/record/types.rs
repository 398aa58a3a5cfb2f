//! The types of columns: Flink's, as far as values of them are carried. Plain data; what may be cast into what
//! and what a function gives back is `sql`'s business.

/// A column's type. Each says how its values lie in [`super::Data`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Type {
    /// The type of a bare `NULL`.
    Null,
    Boolean,
    /// `Data::Int`, as are the other integers; values stay within the type's range.
    TinyInt,
    SmallInt,
    Int,
    BigInt,
    /// `Data::Float`.
    Float,
    /// `Data::Double`.
    Double,
    /// `Data::Decimal`: the unscaled value; precision 1 to 38, scale 0 to precision.
    Decimal(u8, u8),
    /// `Data::Text`, padded with blanks to the length in characters.
    Char(u32),
    /// `Data::Text`; the greatest length in characters, [`Type::STRING`] has none worth the name.
    Varchar(u32),
    /// `Data::Bytes`.
    Binary(u32),
    Varbinary(u32),
    /// `Data::Int`: days since 1970-01-01.
    Date,
    /// `Data::Int`: microseconds since midnight; precision 0 to 6.
    Time(u8),
    /// `Data::Int`: microseconds since 1970-01-01 00:00:00 without a zone; precision 0 to 6.
    Timestamp(u8),
    /// `Data::Int`: microseconds since the epoch in UTC; precision 0 to 6.
    TimestampLtz(u8),
    /// `Data::Int`: months.
    IntervalMonths,
    /// `Data::Int`: microseconds.
    IntervalTime,
    /// `Data::Values`, as are the other nested types.
    Array(Box<Type>),
    Map(Box<Type>, Box<Type>),
    /// A map from value to its count (INT).
    Multiset(Box<Type>),
    Row(Vec<(String, Type)>),
}

impl Type {
    /// `STRING`, that is `VARCHAR(2147483647)`.
    pub(crate) const STRING: Type = Type::Varchar(i32::MAX as u32);
    /// `BYTES`.
    pub(crate) const BYTES: Type = Type::Varbinary(i32::MAX as u32);
}

/// As Flink prints it: `DECIMAL(10, 2)`, `TIMESTAMP(3)`, `STRING`, `ROW<a INT>`.
impl std::fmt::Display for Type {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Type::Null => f.write_str("NULL"),
            Type::Boolean => f.write_str("BOOLEAN"),
            Type::TinyInt => f.write_str("TINYINT"),
            Type::SmallInt => f.write_str("SMALLINT"),
            Type::Int => f.write_str("INT"),
            Type::BigInt => f.write_str("BIGINT"),
            Type::Float => f.write_str("FLOAT"),
            Type::Double => f.write_str("DOUBLE"),
            Type::Decimal(p, s) => write!(f, "DECIMAL({p}, {s})"),
            Type::Char(n) => write!(f, "CHAR({n})"),
            ty if *ty == Type::STRING => f.write_str("STRING"),
            Type::Varchar(n) => write!(f, "VARCHAR({n})"),
            Type::Binary(n) => write!(f, "BINARY({n})"),
            ty if *ty == Type::BYTES => f.write_str("BYTES"),
            Type::Varbinary(n) => write!(f, "VARBINARY({n})"),
            Type::Date => f.write_str("DATE"),
            Type::Time(p) => write!(f, "TIME({p})"),
            Type::Timestamp(p) => write!(f, "TIMESTAMP({p})"),
            Type::TimestampLtz(p) => write!(f, "TIMESTAMP_LTZ({p})"),
            Type::IntervalMonths => f.write_str("INTERVAL YEAR TO MONTH"),
            Type::IntervalTime => f.write_str("INTERVAL DAY TO SECOND"),
            Type::Array(of) => write!(f, "ARRAY<{of}>"),
            Type::Map(key, value) => write!(f, "MAP<{key}, {value}>"),
            Type::Multiset(of) => write!(f, "MULTISET<{of}>"),
            Type::Row(fields) => {
                f.write_str("ROW<")?;
                for (i, (name, ty)) in fields.iter().enumerate() {
                    write!(f, "{}`{name}` {ty}", if i == 0 { "" } else { ", " })?;
                }
                f.write_str(">")
            }
        }
    }
}
