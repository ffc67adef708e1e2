-- What a report says that a payment began with, where that is another amount than its own: of a payment
-- that is in another asset by now, the initial amount is that of its earliest report in that asset.
ALTER TABLE adjustment ADD COLUMN initial_amount numeric;
