{{/* SPDX-License-Identifier: Apache-2.0 */}}

{{/* What an object of a component is called. */}}
{{- define "opensandbox.gateway" -}}
{{ .Release.Name | trunc 45 | trimSuffix "-" }}-gateway
{{- end }}
{{- define "opensandbox.agent" -}}
{{ .Release.Name | trunc 45 | trimSuffix "-" }}-agent
{{- end }}

{{/* Which pods are a component's: (list . "gateway") */}}
{{- define "opensandbox.selector" -}}
app.kubernetes.io/name: {{ (index . 0).Chart.Name }}
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "opensandbox.labels" -}}
{{ include "opensandbox.selector" . }}
app.kubernetes.io/managed-by: {{ (index . 0).Release.Service }}
app.kubernetes.io/version: {{ (index . 0).Chart.AppVersion | quote }}
helm.sh/chart: {{ (index . 0).Chart.Name }}-{{ (index . 0).Chart.Version }}
{{- end }}

{{/* (list . "opensandbox-gateway") */}}
{{- define "opensandbox.image" -}}
{{- $image := (index . 0).Values.image -}}
{{ with $image.registry }}{{ trimSuffix "/" . }}/{{ end }}{{ index . 1 }}:{{ $image.tag | default (index . 0).Chart.AppVersion }}
{{- end }}

{{/* Rights of a user that needs few. */}}
{{- define "opensandbox.nobody" -}}
runAsUser: 65532
runAsGroup: 65532
runAsNonRoot: true
{{ include "opensandbox.few" . }}
{{- end }}
{{- define "opensandbox.few" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: ["ALL"]
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* The service account's token, for the containers that mount it. */}}
{{- define "opensandbox.serviceAccountVolume" -}}
- name: service-account
  projected:
    defaultMode: 0444
    sources:
      - serviceAccountToken:
          path: token
          expirationSeconds: 3607
      - configMap:
          name: kube-root-ca.crt
          items:
            - key: ca.crt
              path: ca.crt
      - downwardAPI:
          items:
            - path: namespace
              fieldRef:
                fieldPath: metadata.namespace
{{- end }}
{{- define "opensandbox.serviceAccountMount" -}}
- name: service-account
  mountPath: /var/run/secrets/kubernetes.io/serviceaccount
  readOnly: true
{{- end }}

{{/* A role in each of the sandboxes' namespaces: (list . "gateway" NAME RULES) */}}
{{- define "opensandbox.roles" -}}
{{- $root := index . 0 }}
{{- $name := index . 2 }}
{{- $labels := include "opensandbox.labels" (list $root (index . 1)) }}
{{- $rules := index . 3 }}
{{- range $root.Values.sandboxes.namespaces }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: {{ $name }}
  namespace: {{ . }}
  labels:
    {{- $labels | nindent 4 }}
rules:
  {{- $rules | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: {{ $name }}
  namespace: {{ . }}
  labels:
    {{- $labels | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: {{ $name }}
subjects:
  - kind: ServiceAccount
    name: {{ $name }}
    namespace: {{ $root.Release.Namespace }}
{{- end }}
{{- end }}

{{/* To list and watch what the gateway serves. */}}
{{- define "opensandbox.gatewayRules" -}}
{{- range .Values.sandboxes.providerTypes }}
- apiGroups: [{{ dict "pod" "" "batchsandbox" "sandbox.opensandbox.io" "agent-sandbox" "agents.x-k8s.io" | dig . "" | quote }}]
  resources: [{{ dict "pod" "pods" "batchsandbox" "batchsandboxes" "agent-sandbox" "sandboxes" | dig . "" | quote }}]
  verbs: ["list", "watch"]
{{- end }}
{{- end }}
{{- define "opensandbox.agentRules" -}}
- apiGroups: [""]
  resources: ["pods"]
  verbs: ["list", "watch"]
{{- end }}
