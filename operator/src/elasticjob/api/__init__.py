"""The ElasticJob resource: pydantic models, the CRD generated from them, and validation rules."""
