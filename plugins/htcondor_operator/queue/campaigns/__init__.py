"""Campaigns: many datasets by list, query, day of observation or new reference; rescues by rule."""
