-- What keeps an order from being taken for one that surely did not arrive.

ALTER TABLE transfer_attempt
    -- The config that it was last sent with: with another one, another account may be asked about it.
    ADD COLUMN revision integer,
    -- The provider has refused a later call of it, as it may because an earlier one had arrived: its reason.
    ADD COLUMN refused text;
