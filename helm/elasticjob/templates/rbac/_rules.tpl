{{- /* Exactly what the operator does: tests/helm compares this list with recorded requests. RBAC lets it bind a role
whose rights it holds, and by `bind` elasticjob-agent, also if another release of this chart has made that role. */ -}}
{{- define "elasticjob.operatorRules" -}}
- apiGroups: [elasticjob.dev]
  resources: [elasticjobs]
  verbs: [get, list, watch]
- apiGroups: [elasticjob.dev]
  resources: [elasticjobs/status]
  verbs: [patch]
- apiGroups: [""]
  resources: [pods]
  verbs: [create, delete, get, list, watch]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create, delete, get, list, patch, watch]
- apiGroups: [""]
  resources: [serviceaccounts]
  verbs: [create, delete, get]
- apiGroups: [rbac.authorization.k8s.io]
  resources: [rolebindings]
  verbs: [create, delete, get]
- apiGroups: [rbac.authorization.k8s.io]
  resources: [clusterroles]
  resourceNames: [elasticjob-agent]
  verbs: [bind]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [create, delete, get, list]
- apiGroups: [""]
  resources: [events]
  verbs: [create, get, list, patch]
{{- end -}}

{{- define "elasticjob.operatorSubjects" -}}
- kind: ServiceAccount
  name: {{ include "elasticjob.account" . | quote }}
  namespace: {{ .Release.Namespace }}
{{- end -}}
