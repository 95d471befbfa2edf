"""The paper's tables and figure 4 as data, and what runs them."""
