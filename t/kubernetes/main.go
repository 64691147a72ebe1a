// SPDX-License-Identifier: Apache-2.0

// Command crdserver is k8s.io/apiextensions-apiserver run on its own: it needs an
// etcd and nothing else. Callers are told by bearer tokens from a CSV file
// (token,user,uid,"group1,group2"), read at each request; group system:masters may
// do everything, others nothing.
package main

import (
	"context"
	"errors"
	"os"

	"github.com/spf13/cobra"

	"k8s.io/apiextensions-apiserver/pkg/apiserver"
	"k8s.io/apiextensions-apiserver/pkg/cmd/server/options"
	generatedopenapi "k8s.io/apiextensions-apiserver/pkg/generated/openapi"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/group"
	"k8s.io/apiserver/pkg/authentication/request/bearertoken"
	"k8s.io/apiserver/pkg/authentication/token/tokenfile"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	openapinamer "k8s.io/apiserver/pkg/endpoints/openapi"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/util/openapi"
	"k8s.io/apiserver/pkg/util/webhook"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/component-base/cli"
)

// tokenFile is the path of a file of tokens that may change at any time.
type tokenFile string

func (f tokenFile) AuthenticateToken(ctx context.Context, token string) (*authenticator.Response, bool, error) {
	t, err := tokenfile.NewCSV(string(f))
	if err != nil {
		return nil, false, err
	}
	return t.AuthenticateToken(ctx, token)
}

func main() {
	o := options.NewCustomResourceDefinitionsServerOptions(os.Stdout, os.Stderr)
	r := o.RecommendedOptions
	// Everything that would ask a "core" API server which is not there.
	r.Authentication, r.Authorization, r.CoreAPI, r.Admission = nil, nil, nil, nil
	r.Features.EnablePriorityAndFairness = false
	var tokens string
	// The one hook inside Config() which is handed the generic configuration.
	r.ExtraAdmissionInitializers = func(c *genericapiserver.RecommendedConfig) ([]admission.PluginInitializer, error) {
		c.Authentication.Authenticator = group.NewAuthenticatedGroupAdder(bearertoken.New(tokenFile(tokens)))
		c.Authorization.Authorizer = authorizerfactory.NewPrivilegedGroups("system:masters")
		c.SharedInformerFactory = informers.NewSharedInformerFactory(nil, 0) // Config() takes a lister from it
		return nil, nil
	}
	cmd := &cobra.Command{
		Use: "crdserver", Args: cobra.NoArgs, SilenceUsage: true,
		PersistentPreRunE: func(*cobra.Command, []string) error { return o.ServerRunOptions.ComponentGlobalsRegistry.Set() },
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := errors.Join(o.Complete(), o.Validate()); err != nil {
				return err
			}
			cfg, err := o.Config()
			if err != nil {
				return err
			}
			cfg.GenericConfig.SharedInformerFactory = nil // never started: no core API
			cfg.ExtraConfig.ServiceResolver = webhook.NewDefaultServiceResolver()
			// OpenAPI v2: without it the schemas of custom resources are in neither /openapi/v2 nor v3.
			cfg.GenericConfig.OpenAPIConfig = genericapiserver.DefaultOpenAPIConfig(
				openapi.GetOpenAPIDefinitionsWithoutDisabledFeatures(generatedopenapi.GetOpenAPIDefinitions),
				openapinamer.NewDefinitionNamer(apiserver.Scheme, scheme.Scheme))
			cc := cfg.Complete()
			cc.GenericConfig.EnableDiscovery = true // GET /apis, otherwise the aggregator's work: kubectl asks for it
			s, err := cc.New(genericapiserver.NewEmptyDelegate())
			if err != nil {
				return err
			}
			return s.GenericAPIServer.PrepareRun().RunWithContext(cmd.Context())
		},
	}
	cmd.SetContext(genericapiserver.SetupSignalContext())
	o.AddFlags(cmd.Flags())
	cmd.Flags().StringVar(&tokens, "token-auth-file", "", "CSV file of bearer tokens: token,user,uid,groups")
	os.Exit(cli.Run(cmd))
}
