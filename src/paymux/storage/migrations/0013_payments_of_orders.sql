-- Two orders cannot have become one payment: found without reading all of them.

CREATE INDEX transfer_payment_of ON transfer_payment (payment);
